/** A logger that keeps its lines. */
import { createHash } from 'node:crypto';
import type { Logger } from '../../src/index.ts';
import { keepLog } from './endpoints-now.ts';

/** The text of log lines in place of a session id. */
export function hashOf(sessionId: string | undefined): string {
  return createHash('sha256').update(String(sessionId)).digest('hex').slice(0, 12);
}

export interface LogLine {
  readonly level: keyof Logger;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface Log extends Logger {
  readonly lines: LogLine[];
  /** The lines whose message matches. */
  matching(message: RegExp, level?: keyof Logger): LogLine[];
}

export function createLog(): Log {
  const lines: LogLine[] = [];
  const at =
    (level: keyof Logger): Logger['info'] =>
    (fields, message) =>
      void lines.push({ level, fields: fields as Record<string, unknown>, message });
  keepLog(lines);
  return {
    lines,
    matching: (message, level) =>
      lines.filter(
        (line) => message.test(line.message) && (level === undefined || line.level === level),
      ),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    fatal: at('fatal'),
  };
}
