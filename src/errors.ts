/**
 * Every error that sojourn answers with or throws. There is one class, and a named function builds each error. Its
 * message says what happened, with which value, and what to do. `docs/reference/errors.md` lists every code.
 */
export {
  RPC,
  ERROR_CODES,
  type ErrorCode,
  type SojournErrorFields,
  SojournError,
  rpcError,
} from './errors/sojourn-error.ts';
export {
  hostNotAllowed,
  originNotAllowed,
  repeatedField,
  unauthorized,
  authAway,
  methodNotAllowed,
  notAcceptable,
  unsupportedMediaType,
  bodyTooLarge,
  bodyUnreadable,
  parseError,
  invalidRequest,
  invalidParams,
  batchNotAllowed,
  unsupportedVersion,
  headerMismatch,
} from './errors/request.ts';
export {
  sessionIdMissing,
  sessionIdInvalid,
  sessionNotFound,
  callSessionNotFound,
  otherUser,
  insufficientScope,
  versionChanged,
  alreadyInitialized,
  requestIdInFlight,
} from './errors/session.ts';
export {
  tooManyRequests,
  uriTooLarge,
  subscriptionsTooLarge,
  handshakeTooLarge,
  tooManyWithoutSession,
  overUserLimit,
  overToolLimit,
  overMemory,
  tooManySessions,
} from './errors/limits.ts';
export {
  beforeItRan,
  storeAway,
  storeRefused,
  storeAwayForClients,
  lapsed,
  restoreFailed,
  ownerUnreachable,
  migrationFailed,
  hookTimeout,
  draining,
  closedEndpoint,
} from './errors/unavailable.ts';
export {
  sessionEnded,
  requestDrained,
  requestClosed,
  answerNotKept,
  callTimeout,
  callUnreachable,
  answerOverLimit,
  ownerLost,
} from './errors/lost-calls.ts';
export {
  factoryFailed,
  hookReturned,
  internal,
  noStream,
  notInitialized,
  statelessUnsupported,
  sessionGone,
  otherSession,
  outsideHandler,
  stateTooLarge,
  sealTooLong,
} from './errors/server-code.ts';
export { optionInvalid, definitionRefused, optionsContradict } from './errors/configuration.ts';
