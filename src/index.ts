/** sojourn: MCP sessions that outlive the process. */
export { createMcpEndpoint } from './endpoint/endpoint.ts';
export type { DrainOptions, McpEndpoint } from './endpoint/mcp-endpoint.ts';
export type { FetchOptions } from './http/fetch-exchange.ts';
export { SojournError } from './errors.ts';
export type { ErrorCode } from './errors.ts';
export type { Listening } from './listen/listen.ts';
export type { ListenOptions } from './listen/listen-options.ts';
export type { Authorize, AuthorizeKind, JwtOptions, TrustedProxyUser, VerifyToken } from './options/auth-options.ts';
export type { Notice } from './observe/notices.ts';
export type { Observe } from './observe/observer.ts';
export type { AroundRequest, NextRun, RequestAnswer, RequestChange, RunningRequest } from './options/around-request.ts';
export type { McpEndpointOptions } from './options/endpoint-options.ts';
export type { AuthOptions } from './options/resolve-auth.ts';
export type { SessionLimits } from './options/resolve-limits.ts';
export type { AuthorizeTask, TaskLimits, TasksOptions, TaskToRun } from './options/tasks-options.ts';
export { currentRequest, currentSession, enablePolling } from './session/calls/current-call.ts';
export type { EndpointTasks, TaskInfo } from './endpoint/endpoint-tasks.ts';
export type { SessionEvents, SessionInfoPage, SessionList, SessionPageRequest, Sessions } from './endpoint/sessions.ts';
export type { Store } from './stores/store.ts';
export type {
  ConfigureSessionOptions,
  ConnectableServer,
  EndpointHealth,
  EndReason,
  ErrorContext,
  EventRetention,
  LeaveReason,
  Logger,
  LostCalls,
  McpEndpointContext,
  McpEndpointFactory,
  McpHttpRequest,
  McpServerOptions,
  McpRequestRun,
  McpSession,
  McpSessionContext,
  ResponseMode,
  RestoreCause,
  RunSessionHandler,
  SessionEvent,
  SessionEventMap,
  SessionEventName,
  SessionIdGenerator,
  SessionInfo,
  SessionMigrationHandler,
  SessionState,
  SharedList,
  TimeProvider,
} from './types.ts';
export type { SessionMode } from './protocol/versions.ts';
