/**
 * How fast is the native device's attention in a long prompt, beside what this machine could do? Builds
 * bench/attention-native.cc with the kernels, and runs it.
 *
 *   node bench/attention-native.mjs [--level=avx512vnni,avx512,avx2] [--positions=512,4096,16384] [--rows=512]
 *
 * Per kernel, heads (queries / keys x width) and type of the cache: GFLOP/s of a step of so many rows whose last sees so
 * many positions, two for each multiplication and addition of what the rows see. One thread, processor time, best of
 * several runs.
 */
import { buildAndRun } from "./build-native.mjs";

buildAndRun("attention-native.cc", /^(attention.*|cpu|matmul.*|memory|pack|rows.*)\.cc$/);
