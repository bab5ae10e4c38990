export { type Pulled, pull } from "./pull.ts";
export { type LocalModel, resolve } from "./resolve.ts";
export type { PullEvent, StoreOptions } from "./store.ts";
