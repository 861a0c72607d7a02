/** Parts without an export that programs of tests measure in a process with a small heap. `dist/internals.js` has them. */
export { Core } from '../../src/endpoint/core.ts';
export { EventBudget } from '../../src/stores/memory/event-budget.ts';
export { openFile } from '../../src/stores/sqlite/open-file.ts';
export { systemRandom, systemTime } from '../../src/base/system.ts';
