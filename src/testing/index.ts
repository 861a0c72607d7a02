/** `sojourn/testing`: what tests of servers, endpoints and stores are made with. */
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
