import type { HeaderList } from './exchange.ts';
import type { HttpResponse } from './response.ts';

/** The response to one request without a session, or what takes its place: the run of a task does. */
export interface AnswerSink extends Pick<HttpResponse, 'message' | 'refuse' | 'sendHead' | 'isOpen' | 'listener'> {
  /** How often the request runs; `undefined`: once. */
  readonly attempt?: number;
  /** The call has become a task, and its client has its answer. */
  readonly isTask?: boolean;
  /** `undefined`: the call is no task, or not yet. */
  readonly taskId?: string | undefined;
  begin(): void;
  /** `status`: of an answer that tells an error before any handler ran. */
  answer(json: string, status?: number): void;
  done(status: number, headers?: HeaderList, body?: string): void;
}

/** What a call knows of its task. */
export type TaskOfCall = Pick<AnswerSink, 'isTask' | 'taskId'>;
