/** Tasks: calls that are answered at once, run on, and survive their process. */
export { task } from './task.ts';
export type { TaskOptions } from './task.ts';
export { currentTask } from './task-handle.ts';
export type { RunningTask } from './task-handle.ts';
export { taskTools } from './task-tools.ts';
