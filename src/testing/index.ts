/** `sojourn/testing`: tools for tests of servers, endpoints and stores. */
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
export type { StoreModule } from './crash/writer.ts';
export { createFaultProxy, FaultProxy, type FaultProxyTarget } from './fault-proxy.ts';
