/** Tasks: calls that are answered at once, run on, and survive their process. */
export { task } from './task.ts';
export type { TaskOptions } from './task.ts';
export { currentTask } from './task-of-call.ts';
export type { RunningTask } from './task-of-call.ts';
export { taskTools } from './task-tools.ts';
