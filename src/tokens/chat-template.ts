import * as library from "@huggingface/jinja";
import { ClavisError, grouped } from "../errors.ts";
import * as errors from "./errors.ts";

// ---- the library's values and nodes, as far as they matter here (its own declarations do not
// resolve under Node's module rules)

interface Value {
  readonly type: string;
  readonly value: unknown;
}

interface Node {
  readonly type: string;
}

interface Environment {
  readonly variables: ReadonlyMap<string, Value>;
  readonly parent?: Environment;
  /** Declares a variable in this scope; throws where there is one of that name. */
  set(name: string, value: unknown): Value;
}

interface Interpreter {
  run(program: Node): Value;
  evaluate(node: Node | undefined, scope: Environment): Value;
}

interface Library {
  readonly Environment: new (parent?: Environment) => Environment;
  readonly Interpreter: new (scope: Environment) => Interpreter;
  readonly parse: (tokens: unknown) => Node;
  readonly tokenize: (source: string, options: { trim_blocks: boolean; lstrip_blocks: boolean }) => unknown;
}

const { Environment, Interpreter, parse, tokenize } = library as unknown as Library;

export interface TemplateOptions {
  /**
   * How much work one rendering may be, in steps of about a microsecond on a slow machine. A typical
   * message takes some hundreds. Default: a million, and 500 more for each message.
   */
  readonly stepBudget?: number;
  /** The longest string that may arise, in UTF-16 units. Default 4 Mi. */
  readonly maxOutput?: number;
}

/** What a template sees; names beyond these are passed on as they are. */
export interface TemplateContext {
  readonly messages: readonly unknown[];
  readonly add_generation_prompt?: boolean;
  readonly bos_token?: string;
  readonly eos_token?: string;
  readonly tools?: readonly unknown[] | null;
  readonly [name: string]: unknown;
}

export interface ChatTemplate {
  /**
   * The prompt for a conversation.
   *
   * @throws ClavisError `template.raised` where the template calls raise_exception, `template.budget`
   *   past the step budget or the longest string, `template.failed` on any other error
   */
  render(context: Readonly<Record<string, unknown>>): string;
}

const defaultSteps = 1_000_000;
const stepsPerMessage = 500;
const defaultOutput = 4 * 2 ** 20;

/** The longest published templates have about 30,000 characters. */
const longestSource = 2 ** 19;
/** The library looks for `{% generation %}` in time quadratic in runs of white space. */
const longestSpace = 1024;

/**
 * Compiles a chat template: Jinja as Hugging Face sets it up for chats (trim_blocks and
 * lstrip_blocks on; raise_exception, strftime_now and namespace there).
 *
 * @throws ClavisError `template.syntax`, `template.size`
 * Source: transformers, "Chat templates: templating" (huggingface.co/docs/transformers/chat_templating).
 */
export function compileTemplate(
  source: string,
  { stepBudget, maxOutput = defaultOutput }: TemplateOptions = {},
): ChatTemplate {
  if (source.length > longestSource) throw errors.templateTooLong("", source.length, longestSource);
  const run = longestSpaceIn(source);
  if (run > longestSpace) throw errors.templateTooLong(" of white space in a row", run, longestSpace);

  let program: Node;
  const facts: Facts = { printed: new WeakSet(), size: new WeakMap() };
  try {
    program = parse(tokenize(source, { trim_blocks: true, lstrip_blocks: true }));
    survey(program, facts);
  } catch (error) {
    throw errors.templateSyntax(tooDeep(error) ? "it is nested too deeply" : messageOf(error), error);
  }

  return {
    render(context) {
      const messages = Array.isArray(context.messages) ? context.messages.length : 0;
      const meter = new Meter(stepBudget ?? defaultSteps + stepsPerMessage * messages, maxOutput);
      try {
        const scope = new Environment(globals(meter));
        for (const [name, value] of Object.entries(context)) {
          // Every scope of the library has its own `namespace`, which `set` refuses to replace.
          if (name !== "namespace") scope.set(name, value);
        }
        return String(new MeteredInterpreter(scope, meter, facts).run(program).value);
      } catch (error) {
        if (error instanceof ClavisError) throw error;
        if (tooDeep(error))
          throw errors.templateBudget("nests or recurses too deeply", "a template that ends");
        throw errors.templateFailed(messageOf(error), error);
      }
    },
  };
}

function longestSpaceIn(source: string): number {
  let longest = 0;
  for (const [run] of source.matchAll(/\s+/g)) longest = Math.max(longest, run.length);
  return longest;
}

/** A RangeError is how JavaScript reports an exhausted stack and a string beyond its limits. */
const tooDeep = (error: unknown): boolean => error instanceof RangeError;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

interface Call extends Node {
  readonly callee: Node;
  readonly args: readonly Node[];
}

/** A node that stands for a value computed already. */
interface Known extends Node {
  readonly type: "Known";
  readonly known: Value;
}

const known = (value: Value): Known => ({ type: "Known", known: value });

/** Parts of nodes by name; which there are depends on the node's type. */
const part = <Part = Node>(node: Node, name: string): Part =>
  (node as unknown as Record<string, unknown>)[name] as Part;

// ---- the meter

/** What things cost in steps, by measurement (Node 20): a node is 0.6 µs, the library's record of a loop's item 5. */
const cost = {
  node: 2,
  item: 16,
  /** A string's methods are made anew for each string that is asked for one. */
  methods: 16,
  /** Characters of a string handled for one step. */
  characters: 16,
} as const;

class Meter {
  readonly maxOutput: number;
  private readonly budget: number;
  private left: number;

  constructor(budget: number, maxOutput: number) {
    this.budget = this.left = budget;
    this.maxOutput = maxOutput;
  }

  spend(steps: number): void {
    this.left -= steps;
    // Written so that NaN, from a length that is no number, counts as too much.
    if (!(this.left >= 0)) {
      throw errors.templateBudget("runs on past its budget", `at most ${grouped(this.budget)} steps`);
    }
  }

  /** Refuses a string before it is made. */
  allow(length: number): void {
    if (!(length <= this.maxOutput)) {
      throw errors.templateBudget("makes too long a text", `at most ${grouped(this.maxOutput)} characters`);
    }
  }

  /**
   * Spends in proportion to the written form of a value. A value that is there many times over in
   * a structure counts as often: that is the work of writing it.
   */
  walk(value: Value): void {
    this.spend(1 + shallowSize(value));
    for (const child of children(value)) this.walk(child);
  }
}

/** Items of a list or map; for a string, the steps that handling its characters costs. */
function shallowSize(value: Value): number {
  const inner: unknown = value.value;
  if (typeof inner === "string") return inner.length / cost.characters;
  if (Array.isArray(inner)) return inner.length;
  return inner instanceof Map ? inner.size : 0;
}

function children(value: Value): Iterable<Value> {
  const inner: unknown = value.value;
  if (Array.isArray(inner)) return inner as Value[];
  return inner instanceof Map ? (inner.values() as Iterable<Value>) : [];
}

/** The length of a value's written form, at most; `indent` is what each level of nesting adds to a line. */
function writtenLength(value: Value, indent: number, separators: number, depth = 1): number {
  const inner: unknown = value.value;
  // JSON writes a control character as six.
  if (typeof inner === "string") return inner.length * 6 + 2;
  let length = 32;
  if (inner instanceof Map) for (const key of inner.keys()) length += String(key).length * 6 + 4;
  for (const child of children(value)) {
    length += writtenLength(child, indent, separators, depth + 1) + indent * depth + separators + 3;
  }
  return length;
}

const textOf = (value: Value | undefined): string | undefined =>
  typeof value?.value === "string" ? value.value : undefined;

const lengthOf = (value: Value | undefined): number => textOf(value)?.length ?? 0;

// ---- the interpreter

/**
 * The library's interpreter under a meter. Every syntax node passes through `evaluate`; where one
 * node can be much work (loops, filters, calls, joining strings), its operands are evaluated first
 * and paid for, and the library then gets the node with their values in place.
 */
class MeteredInterpreter extends Interpreter {
  private readonly meter: Meter;
  private readonly facts: Facts;
  /** The methods that were asked for, each with what it belongs to: they can be called under other names. */
  private readonly methods = new WeakMap<Value, { readonly name: string; readonly owner: Value }>();

  constructor(scope: Environment, meter: Meter, facts: Facts) {
    super(scope);
    this.meter = meter;
    this.facts = facts;
  }

  override evaluate(node: Node | undefined, scope: Environment): Value {
    if (node === undefined) return super.evaluate(node, scope);
    if (node.type === "Known") return (node as Known).known;
    this.meter.spend(cost.node);
    const value = this.paid(node, scope);
    const inner: unknown = value?.value;
    if (typeof inner === "string") this.meter.allow(inner.length);
    // A statement's value is written into the output, lists and maps as JSON.
    else if (typeof inner === "object" && inner !== null && this.facts.printed.has(node))
      this.meter.walk(value);
    return value;
  }

  private paid(node: Node, scope: Environment): Value {
    switch (node.type) {
      case "Identifier":
        return this.variable(part<string>(node, "value"), scope);
      case "For":
        return super.evaluate(this.paidLoop(node, scope), scope);
      case "BinaryExpression":
        return super.evaluate(this.paidOperator(node, scope), scope);
      case "FilterExpression":
        return this.counted(super.evaluate(this.paidFilter(node, scope), scope));
      case "FilterStatement": {
        const body = this.evaluate({ type: "Program", body: part(node, "body") } as Node, scope);
        const filter = { type: "FilterExpression", operand: known(body), filter: part(node, "filter") };
        return this.evaluate(filter as Node, scope);
      }
      case "CallExpression":
        return this.counted(super.evaluate(this.paidCall(node as Call, scope), scope));
      case "Macro":
        // The library looks through the body for the arguments that it uses, each time.
        this.meter.spend(this.facts.size.get(node) ?? 0);
        return super.evaluate(node, scope);
      case "CallStatement": {
        this.meter.spend(this.facts.size.get(node) ?? 0);
        const call = this.paidCall(part<Call>(node, "call"), scope);
        return super.evaluate({ ...node, call } as Node, scope);
      }
      case "MemberExpression":
        return this.member(node, scope);
      default:
        return super.evaluate(node, scope);
    }
  }

  /** The library finds that a name is unknown by an exception, which costs as much as 50 look-ups. */
  private variable(name: string, scope: Environment): Value {
    let depth = 0;
    for (let at: Environment | undefined = scope; at !== undefined; at = at.parent) {
      const value = at.variables.get(name);
      if (value !== undefined) return value;
      if (++depth > 16) this.meter.spend(1);
    }
    return super.evaluate(undefined, scope);
  }

  private counted(value: Value): Value {
    if (Array.isArray(value?.value)) this.meter.spend(value.value.length);
    return value;
  }

  private paidLoop(node: Node, scope: Environment): Node {
    const iterable = part(node, "iterable");
    const selects = iterable.type === "SelectExpression";
    const items = this.evaluate(selects ? part(iterable, "lhs") : iterable, scope);
    // Each item gets a scope and a description of the loop, even where the body is empty.
    this.meter.spend(cost.item * shallowSize(items));
    return { ...node, iterable: selects ? { ...iterable, lhs: known(items) } : known(items) } as Node;
  }

  private paidOperator(node: Node, scope: Environment): Node {
    const operator = part<{ value: string }>(node, "operator").value;
    if (operator === "and" || operator === "or") return node;
    const left = this.evaluate(part(node, "left"), scope);
    const right = this.evaluate(part(node, "right"), scope);
    const isList = (value: Value) => typeof value.value === "object" && value.value !== null;
    if (operator === "in" || operator === "not in") this.paySearch(right, left);
    else if (isList(left) !== isList(right)) {
      // A list beside a string is written out to be compared or joined.
      this.meter.walk(left);
      this.meter.walk(right);
    } else this.meter.spend(isList(left) ? shallowSize(left) + shallowSize(right) : 0);
    return { ...node, left: known(left), right: known(right) } as Node;
  }

  /** Searching for a long needle takes up to the product of both lengths; 4,096 comparisons are a step. */
  private paySearch(text: Value, needle: Value | undefined): void {
    this.meter.spend(shallowSize(text) + (lengthOf(text) * lengthOf(needle)) / 4096);
  }

  private member(node: Node, scope: Environment): Value {
    const object = this.evaluate(part(node, "object"), scope);
    const isText = typeof object.value === "string";
    const property = part(node, "property");
    if (property.type === "SliceExpression") {
      // A slice of a string takes it apart into characters first.
      this.meter.spend(isText ? lengthOf(object) / 4 : shallowSize(object));
      return this.counted(super.evaluate({ ...node, object: known(object) } as Node, scope));
    }
    const computed = part<boolean>(node, "computed");
    const name = computed ? this.evaluate(property, scope) : undefined;
    if (isText) this.meter.spend(cost.methods);
    const parts = { ...node, object: known(object), ...(name && { property: known(name) }) };
    const value = super.evaluate(parts as Node, scope);
    if (value.type === "FunctionValue" && !this.methods.has(value)) {
      this.methods.set(value, {
        name: String(name?.value ?? part<string>(property, "value")),
        owner: object,
      });
    }
    return value;
  }

  private paidFilter(node: Node, scope: Environment): Node {
    const operand = this.evaluate(part(node, "operand"), scope);
    const filter = part(node, "filter");
    if (filter.type !== "CallExpression") {
      this.payFor(part<string>(filter, "value"), operand, []);
      return { ...node, operand: known(operand) } as Node;
    }
    const call = filter as Call;
    const name = part<string>(call.callee, "value");
    // These two take literals only, and the library looks at the nodes themselves.
    if (name === "selectattr" || name === "rejectattr") {
      this.payFor(name, operand, []);
      return { ...node, operand: known(operand) } as Node;
    }
    const { args, values } = this.knownArguments(call.args, scope);
    this.payFor(name, operand, values);
    return { ...node, operand: known(operand), filter: { ...call, args } } as Node;
  }

  private paidCall(call: Call, scope: Environment): Call {
    const { args, values } = this.knownArguments(call.args, scope);
    const callee = this.evaluate(call.callee, scope);
    const method = this.methods.get(callee);
    if (method !== undefined) this.payFor(method.name, method.owner, values);
    return { ...call, callee: known(callee), args };
  }

  /** Arguments evaluated as the library would: those by position first, then those by name. */
  private knownArguments(nodes: readonly Node[], scope: Environment): { args: Node[]; values: Value[] } {
    const args = [...nodes];
    const values: Value[] = [];
    const put = (at: number, name: string | undefined) => {
      const node = name === undefined ? args[at] : part(args[at], name);
      const value = this.evaluate(node, scope);
      args[at] = name === undefined ? known(value) : ({ ...args[at], [name]: known(value) } as Node);
      if (name === "argument") {
        this.meter.spend(shallowSize(value));
        values.push(...children(value));
      } else values.push(value);
    };
    for (let at = 0; at < nodes.length; at++) {
      if (nodes[at].type === "SpreadExpression") put(at, "argument");
      else if (!nodes[at].type.startsWith("Keyword")) put(at, undefined);
    }
    for (let at = 0; at < nodes.length; at++) {
      if (nodes[at].type === "KeywordArgumentExpression") put(at, "value");
      else if (nodes[at].type === "KeywordSpreadExpression") put(at, "argument");
    }
    return { args, values };
  }

  /** Pays for a filter or a method, and refuses it where its result could be too long. */
  private payFor(name: string, operand: Value, args: readonly Value[]): void {
    const { meter } = this;
    const longest = Math.max(0, ...args.map(lengthOf));
    const text = textOf(operand);
    if (text !== undefined) {
      meter.spend(cost.methods);
      this.paySearch(operand, args[0]);
      meter.spend(longest / cost.characters);
      if (name === "split") meter.spend(2 * partsOf(text, textOf(args[0])));
      if (name === "replace")
        meter.allow(text.length + (text.length / Math.max(1, lengthOf(args[0])) + 1) * longest);
      if (name === "indent")
        meter.allow(text.length + (partsOf(text, "\n") + 1) * Math.max(4, ...args.map(wholeOf)));
      if (name === "join") {
        meter.spend(text.length / 4);
        meter.allow(text.length * (1 + longest));
      }
      if (name === "tojson") meter.allow(text.length * 6 + 2);
      return;
    }
    switch (name) {
      case "length":
      case "first":
      case "last":
      case "list":
      case "default":
      case "safe":
      case "get":
        return;
      case "map":
      case "selectattr":
      case "rejectattr":
      case "reverse":
      case "items":
      case "keys":
      case "values":
        meter.spend(shallowSize(operand) * (1 + longest / cost.characters));
        return;
    }
    meter.walk(operand);
    if (name === "sort" || name === "dictsort") {
      // About log2(n) comparisons an item, each of which may lower the case of two strings.
      for (let item = shallowSize(operand); item >= 1; item /= 2) meter.walk(operand);
    }
    if (name === "tojson" || name === "join" || name === "string") {
      const separators = args
        .flatMap((value) => [value, ...children(value)])
        .reduce((sum, s) => sum + lengthOf(s), 0);
      meter.allow(writtenLength(operand, Math.max(0, ...args.map(wholeOf)), separators));
    }
  }
}

const wholeOf = (value: Value): number => (typeof value.value === "number" ? value.value : 0);

/** How many parts a text falls into; without a separator, at most, at white space. */
function partsOf(text: string, separator: string | undefined): number {
  if (!separator) return text.length / 2;
  let parts = 1;
  for (let at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, at + separator.length))
    parts++;
  return parts;
}

/** What is known of a template's nodes before it runs. */
interface Facts {
  /** Those whose values are written into the output: the statements of every body. */
  readonly printed: WeakSet<object>;
  /** How many nodes there are in each. */
  readonly size: WeakMap<object, number>;
}

/** Gathers the facts of a node and all below it; returns how many nodes those are. */
function survey(node: unknown, facts: Facts): number {
  if (typeof node !== "object" || node === null) return 0;
  let size = 1;
  if (node instanceof Map) {
    for (const [key, value] of node) size += survey(key, facts) + survey(value, facts);
    return size;
  }
  for (const [name, child] of Object.entries(node)) {
    if (Array.isArray(child)) {
      const isBody = name === "body" || name === "alternate" || name === "defaultBlock";
      for (const item of child) {
        if (isBody) facts.printed.add(item);
        size += survey(item, facts);
      }
    } else size += survey(child, facts);
  }
  facts.size.set(node, size);
  return size;
}

// ---- what every template may use

function globals(meter: Meter): Environment {
  const scope = new Environment();
  // Jinja's constants, in both spellings that it allows.
  for (const [name, value] of [
    ["true", true],
    ["false", false],
    ["none", null],
  ] as const) {
    scope.set(name, value);
    scope.set(name[0].toUpperCase() + name.slice(1), value);
  }
  scope.set("raise_exception", (message: unknown) => {
    throw errors.templateRaised(String(message ?? "no reason given"));
  });
  scope.set("range", (first: unknown, second?: unknown, step: unknown = 1) =>
    range(meter, second === undefined ? [0, first] : [first, second], step),
  );
  scope.set("strftime_now", (format: unknown) => {
    meter.spend(String(format).length);
    return strftime(new Date(), String(format));
  });
  return scope;
}

/** Python's range, paid for before it is made. */
function range(meter: Meter, [start, stop]: readonly unknown[], step: unknown): number[] {
  if (![start, stop, step].every(Number.isSafeInteger)) throw new Error("range() takes whole numbers");
  if (step === 0) throw new Error("range() step must not be zero");
  const count = Math.max(0, Math.ceil(((stop as number) - (start as number)) / (step as number)));
  meter.spend(count);
  return Array.from({ length: count }, (_, i) => (start as number) + i * (step as number));
}

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/** Python's strftime in the C locale, local time; a directive that is not known stays as it is. */
function strftime(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const directives: Record<string, () => string> = {
    "%a": () => days[date.getDay()].slice(0, 3),
    "%A": () => days[date.getDay()],
    "%b": () => months[date.getMonth()].slice(0, 3),
    "%B": () => months[date.getMonth()],
    "%d": () => two(date.getDate()),
    "%H": () => two(date.getHours()),
    "%I": () => two(date.getHours() % 12 || 12),
    "%m": () => two(date.getMonth() + 1),
    "%M": () => two(date.getMinutes()),
    "%p": () => (date.getHours() < 12 ? "AM" : "PM"),
    "%S": () => two(date.getSeconds()),
    "%y": () => two(date.getFullYear() % 100),
    "%Y": () => String(date.getFullYear()),
    "%%": () => "%",
  };
  return format.replace(/%[a-zA-Z%]/g, (directive) => directives[directive]?.() ?? directive);
}
