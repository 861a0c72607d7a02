/** `sojourn/testing`. For authors of servers: docs/guide/develop.md. */
export { createFakeTime, type FakeTime } from './fake-time.ts';
export { type Lab, type LabOptions, type LabServer, openLab } from './lab/lab.ts';
export type { LabInstance } from './lab/lab-instance.ts';
export type { LabTask } from './lab/lab-task.ts';
export type { LabCaller, LabResult } from './lab/lab-client.ts';
export { until, type UntilOptions } from './until.ts';
