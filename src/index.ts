/** sojourn: calls, tasks and state of MCP servers that survive deploys and crashes. */
export { createMcpEndpoint } from './endpoint/endpoint.ts';
export type { CloseOptions, DrainOptions, McpEndpoint } from './endpoint/mcp-endpoint.ts';
export type { FetchOptions } from './http/fetch-exchange.ts';
export { SojournError } from './base/errors.ts';
export type { ErrorCode } from './base/errors.ts';
export type { Listening } from './http/listen/listen.ts';
export type { ListenOptions } from './http/listen/listen-options.ts';
export type {
  Authorize,
  AuthorizeKind,
  AuthOptions,
  JwtOptions,
  TrustedProxyUser,
  VerifyToken,
} from './base/options/auth-options.ts';
export type {
  EventData,
  EventsOptions,
  EventTypeOptions,
  SentEvent,
} from './base/options/events-options.ts';
export type { EmitOptions } from './durable/events/emitting.ts';
export type { EmitInOptions, PgTransaction, SqliteTransaction } from './endpoint/endpoint-emit.ts';
export type { EndpointNotices, Notice, Refusal, RefusedNotice } from './base/observe/notices.ts';
export type { Observe } from './base/observe/observer.ts';
export type {
  Middleware,
  NextRun,
  RequestAnswer,
  RequestChange,
  RunningRequest,
} from './base/options/middleware.ts';
export type { McpEndpointOptions } from './base/options/mcp-endpoint-options.ts';
export type {
  Limits,
  LimitsOptions,
  ToolLimits,
  UserLimits,
} from './base/options/limits-options.ts';
export type { TaskAuthInfo, TasksOptions, TaskToRun } from './base/options/tasks-options.ts';
export { nothingDone, once, RUNS_ONCE } from './durable/once/index.ts';
export type { OnceOptions } from './durable/once/index.ts';
export { currentTask, task, taskTools } from './durable/tasks/index.ts';
export type { RunningTask, TaskOptions } from './durable/tasks/index.ts';
export { memory } from './stores/memory/index.ts';
export type { AddOn } from './base/options/add-ons.ts';
export { currentRequest, currentSession, enablePolling } from './session/calls/current-call.ts';
export { listHandles, openHandle, userState } from './durable/state/current-state.ts';
export { live } from './durable/live/live.ts';
export type { LiveObject, LiveOptions } from './durable/live/live-options.ts';
export type { ForgottenUser } from './endpoint/forget-user.ts';
export type { EndpointHandles } from './endpoint/endpoint-handles.ts';
export type { HandlePage } from './durable/state/handles.ts';
export type { EndpointTasks, TaskInfo, TaskInfoPage } from './endpoint/endpoint-tasks.ts';
export type { PagedList, PageRequest, SessionInfoPage, Sessions } from './endpoint/sessions.ts';
export type { Dashboard, DashboardOptions } from './dashboard/server/options.ts';
export type { LogMessage, Notifier } from './endpoint/notifications.ts';
export type { Store } from './stores/store.ts';
export type {
  ConfigureSessionOptions,
  ConnectableServer,
  EndpointHealth,
  EndReason,
  ErrorContext,
  EventRetention,
  GivenLogger,
  Handle,
  HandleInfo,
  HandleOptions,
  LeaveReason,
  Logger,
  LostCalls,
  McpEndpointContext,
  McpEndpointFactory,
  McpHttpRequest,
  McpListen,
  McpServerOptions,
  McpRequestRun,
  McpSession,
  McpSessionContext,
  OnError,
  ResponseMode,
  RestoreCause,
  RunSessionHandler,
  SessionIdGenerator,
  SessionInfo,
  SessionMigrationHandler,
  State,
  SharedList,
  TimeProvider,
  UserHandle,
  UserStateOptions,
} from './base/types.ts';
export type { SessionMode } from './base/protocol/versions.ts';
