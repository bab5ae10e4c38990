// The one interpreter of the tape (src/plan/tape.ts): all calls of a step, shared among the threads.
//
// Each call is cut into chunks, which no result depends on, and threads claim chunks from a counter until none is left.
// Neighbouring calls of one chunk each are run by one thread without a barrier between them: that is most of what
// lies between two matrix products when one token is generated.
import { attention, attentionRows } from "./attention";
import { kvStore } from "./cache";
import { aRow, bRow, outRow, rowsOf, word } from "./call";
import {
  calls,
  readStep,
  scratch,
  tape,
  threadCount,
  weightAddress,
  weightExperts,
  weightFormat,
} from "./control";
import { activate, add, addPosition, embed, gated, gatherRows, quantize, softcapValues } from "./elementwise";
import { expertSum, expertTile, route } from "./experts";
import { matmulTile } from "./matmul";
import { layerNorm, rmsNorm } from "./norms";
import { packedBytes } from "./pack";
import { rope, ropeTable } from "./rope";
import { barrier, claim } from "./threads";

// Operation numbers, as in src/plan/tape.ts.
const opEmbed = 1;
const opAddPosition = 2;
const opRopeTable = 3;
const opRmsNorm = 4;
const opLayerNorm = 5;
const opQuantize = 6;
const opMatmul = 7;
const opRope = 8;
const opKvStore = 9;
const opAttention = 10;
const opAdd = 11;
const opGated = 12;
const opActivate = 13;
const opSoftcap = 14;
const opGatherRows = 15;
const opRoute = 16;
const opExpertMatmul = 17;
const opExpertSum = 18;

/** Values of a row-wise operation in one chunk: some microseconds of work, against 0.1 for claiming it. */
const rowValues = 8192;
/** Columns of softcap in one chunk. */
const softcapColumns = 8192;
/** Weight bytes in one chunk of a product with few rows: about 6 µs of reading. */
const tileBytes = 32768;
/** Fewest columns in one chunk of a product. */
const fewestColumns = 16;

/** Runs the whole tape for the step in the control block; every thread of the program calls this once. */
export function runTape(thread: i32): void {
  readStep(thread);
  for (let index = 0; index < calls; ) {
    let end = index + 1;
    const chunks = chunksOf(callAt(index));
    if (chunks > 1) {
      for (let chunk = claim(); chunk < chunks; chunk = claim()) runChunk(callAt(index), chunk);
    } else {
      while (end < calls && chunksOf(callAt(end)) <= 1) end++;
      if (claim() == 0) {
        for (let i = index; i < end; i++) {
          if (chunksOf(callAt(i)) > 0) runChunk(callAt(i), 0);
        }
      }
    }
    barrier();
    index = end;
  }
}

function callAt(index: i32): usize {
  return tape + (<usize>index << 6);
}

function divideUp(a: i32, b: i32): i32 {
  return (a + b - 1) / b;
}

/** Into how many chunks a call is cut; 0 where it has no rows. */
function chunksOf(call: usize): i32 {
  const rows = rowsOf(call);
  switch (word(call, 0)) {
    case opMatmul:
      return rows == 0 ? 0 : divideUp(word(call, 9), columnsOf(call, rows));
    case opExpertMatmul:
      return rows == 0 ? 0 : weightExperts(word(call, 8)) * divideUp(word(call, 9), columnsOf(call, expertLoad(call)));
    case opAttention:
      return divideUp(rows, attentionRows) * word(call, 11) * attentionParts(call, rows);
    case opSoftcap:
      return rows * divideUp(word(call, 8), softcapColumns);
    default:
      return divideUp(repeatedRows(call), rowsPerChunk(call));
  }
}

/** Runs one chunk of a call. */
function runChunk(call: usize, chunk: i32): void {
  const op = word(call, 0);
  if (op == opMatmul) return matmul(call, chunk);
  if (op == opExpertMatmul) {
    const columns = columnsOf(call, expertLoad(call));
    const tiles = divideUp(word(call, 9), columns);
    const first = (chunk % tiles) * columns;
    return expertTile(call, chunk / tiles, first, min(first + columns, word(call, 9)));
  }
  if (op == opAttention) {
    // From the last rows to the first, because later rows see more and take longer.
    const rows = rowsOf(call);
    const heads = word(call, 11);
    const parts = attentionParts(call, rows);
    const block = divideUp(rows, attentionRows) - 1 - chunk / (heads * parts);
    const first = block * attentionRows;
    const last = min(first + attentionRows, rows);
    return attention(call, first, last, (chunk / parts) % heads, chunk % parts, parts);
  }
  if (op == opSoftcap) {
    const tiles = divideUp(word(call, 8), softcapColumns);
    const row = chunk / tiles;
    if (row >= rowsOf(call)) return;
    const from = (chunk % tiles) * softcapColumns;
    return softcapValues(call, row, row + 1, from, min(from + softcapColumns, word(call, 8)));
  }
  const size = rowsPerChunk(call);
  const first = chunk * size;
  const last = min(first + size, repeatedRows(call));
  switch (op) {
    case opEmbed:
      return embed(call, first, last);
    case opAddPosition:
      return addPosition(call, first, last);
    case opRopeTable:
      return ropeTable(call, first, last);
    case opRmsNorm:
      return rmsNorm(call, first, last);
    case opLayerNorm:
      return layerNorm(call, first, last);
    case opQuantize:
      return quantize(call, first, last);
    case opRope:
      return rope(call, first, last);
    case opKvStore:
      return kvStore(call, first, last);
    case opAdd:
      return add(call, first, last);
    case opGated:
      return gated(call, first, last);
    case opActivate:
      return activate(call, first, last);
    case opGatherRows:
      return gatherRows(call, first, last);
    case opRoute:
      return route(call, first, last);
    case opExpertSum:
      return expertSum(call, first, last);
    default:
      unreachable();
  }
}

/** Rows with the call's `repeat`, where it has that word. */
function repeatedRows(call: usize): i32 {
  const rows = rowsOf(call);
  switch (word(call, 0)) {
    case opQuantize:
      return rows * word(call, 9);
    case opGated:
    case opActivate:
      return rows * word(call, 11);
    default:
      return rows;
  }
}

/** Rows in one chunk of a row-wise operation. */
function rowsPerChunk(call: usize): i32 {
  let values = 0;
  switch (word(call, 0)) {
    case opQuantize:
    case opAdd:
    case opGated:
    case opActivate:
    case opGatherRows:
    case opExpertSum:
    case opRoute:
      values = word(call, 8);
      break;
    case opRmsNorm:
      values = word(call, 9) * word(call, 10);
      break;
    case opRope:
      values = word(call, 8) * word(call, 9);
      break;
    case opKvStore:
      values = word(call, 9) * word(call, 10) * 2;
      break;
    default:
      values = word(call, 9);
  }
  return max(1, rowValues / max(1, values));
}

/** Into how many parts attention splits the query heads of a key head, so that every thread gets a chunk. */
function attentionParts(call: usize, rows: i32): i32 {
  const chunks = max(1, divideUp(rows, attentionRows) * word(call, 11));
  return max(1, min(divideUp(threadCount(), chunks), word(call, 10) / word(call, 11)));
}

// ---- products

/** Rows that one expert has to multiply, about: columns per chunk follow it, results do not. */
function expertLoad(call: usize): i32 {
  return divideUp(rowsOf(call) * word(call, 11), weightExperts(word(call, 8)));
}

/** Columns in one chunk of a product over `rows` rows; a multiple of 4. */
function columnsOf(call: usize, rows: i32): i32 {
  const bytes = <i32>(packedBytes(weightFormat(word(call, 8)), 4, word(call, 10)) >> 2);
  const columns = tileBytes / max(1, bytes * rows);
  return max(fewestColumns, (columns + 3) & ~3);
}

function matmul(call: usize, chunk: i32): void {
  const rows = rowsOf(call);
  if (rows == 0) return;
  const weight = word(call, 8);
  const n = word(call, 9);
  const columns = columnsOf(call, rows);
  const first = chunk * columns;
  const bias: usize = word(call, 11) < 0 ? 0 : weightAddress(word(call, 11));
  const hasResidual = load<i32>(call, 24) >= 0;
  matmulTile(
    weightFormat(weight),
    outRow(call, 0),
    load<i32>(call, 12),
    aRow(call, 0),
    load<i32>(call, 20),
    rows,
    weightAddress(weight),
    n,
    word(call, 10),
    bias,
    hasResidual ? bRow(call, 0) : 0,
    load<i32>(call, 28),
    first,
    min(first + columns, n),
    scratch,
  );
}
