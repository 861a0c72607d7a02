/** `sojourn/testing`. For authors of servers: docs/guide/test-your-server.md. */
export { createFakeTime, type FakeTime } from './fake-time.ts';
export {
  createRawClient,
  RawClient,
  type InitializeOptions,
  type JsonRpcAnswer,
  type RawClientOptions,
  type RawHeaders,
  type RawRequest,
  type RawRequestOptions,
} from './raw-client.ts';
export { RawResponse, type RawEnding } from './raw-response.ts';
export type { RawEvent } from './sse-parser.ts';
export { type Lab, type LabOptions, type LabServer, openLab } from './lab/lab.ts';
export type { LabInstance } from './lab/lab-instance.ts';
export type { LabTask } from './lab/lab-task.ts';
export type { LabCaller, LabResult } from './lab/lab-client.ts';
export { createFaultProxy, FaultProxy, type FaultProxyTarget } from './fault-proxy.ts';

// For authors of stores: docs/internals/your-own.md.
export {
  createStoreKit,
  type ServerOutage,
  type StoreKit,
  type StoreUnderTest,
  type ViewOptions,
} from './contract/store-kit.ts';
export type { StoreCase, StoreNeed } from './contract/store-case.ts';
export { storeContract } from './store-contract.ts';
export { compareWithModel, type ModelRunOptions } from './model/compare.ts';
export { runStoreCrashes, type CrashReport, type StoreCrashes } from './crash/crashes.ts';
export type { StoreModule } from './crash/crash-writer.ts';
