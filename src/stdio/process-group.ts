/**
 * A command in a process group of its own, with lines to its stdin and from its stdout.
 *
 *     running ──stop: stdin ends, SIGTERM, SIGKILL──▶ stopping ──▶ ended
 *        └──it exits, or `kill`: SIGKILL──▶ ended
 *
 * At its end the whole group is killed, and then what has its mark (`remains.ts`).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type ChildProcess, spawn } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';
import { getHeapStatistics } from 'node:v8';
import { systemTime } from '../base/system.ts';
import type { Command } from './command.ts';
import { guardGroup, MARK, markOf, releaseGroup, sweepSoon } from './remains.ts';

export interface GroupEvents {
  /** A line of stdout. */
  line(text: string): void;
  /** A line of stderr. */
  said(line: string): void;
  /** It did not end within so many ms after its stop, and is killed. */
  outlived(ms: number): void;
  /** Once. `why`: "exit code 1", "SIGKILL", or what made the gateway kill it. */
  ended(why: string): void;
}

/** Characters of stderr that an error may quote. */
const STDERR_KEPT = 4_096;
/** Characters of one line, and bytes that wait for a reader: the largest message that passes. */
export const LINE_LENGTH = 32 * 1024 * 1024;
/** Longer lines of all children share a part of the heap while they arrive. */
const FREE_LENGTH = 1024 * 1024;
const HEAP_PART = 8;
const ARRIVING_LENGTH = Math.max(LINE_LENGTH, getHeapStatistics().heap_size_limit / HEAP_PART);
let arriving = 0;
/** Between the end of stdin and SIGTERM, and between SIGTERM and SIGKILL. */
const GRACE_MS = 1_500;
/** Descendants may hold the pipes of a process that exited, so its last lines have this time. */
const LAST_LINES_MS = 20;

/** The child must not belong to the call that happens to start it. */
const inRootContext = AsyncLocalStorage.snapshot();
let started = 0;

export class ProcessGroup {
  readonly #events: GroupEvents;
  readonly #process: ChildProcess;
  readonly #mark: string;
  readonly #decoder = new StringDecoder('utf8');
  #line = '';
  #stderr = '';
  #killed: string | undefined = undefined;
  #isStopping = false;
  /** Resolves when no process of the group lives. */
  readonly ended: Promise<void>;

  constructor({ command, args, env, cwd }: Command, events: GroupEvents) {
    this.#events = events;
    this.#mark = markOf((started += 1));
    this.#process = inRootContext(() =>
      spawn(command, [...args], {
        cwd,
        env: { ...env, [MARK]: this.#mark },
        stdio: 'pipe',
        detached: process.platform !== 'win32',
        windowsHide: true,
      }),
    );
    const { pid, stdin, stdout, stderr } = this.#process;
    if (pid !== undefined) guardGroup(pid);
    for (const stream of [stdin, stdout, stderr]) stream?.on('error', () => {});
    stdout?.on('data', (chunk: Buffer) => this.#read(this.#decoder.write(chunk)));
    stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
      for (const line of text.split('\n')) if (line.trim() !== '') events.said(line);
    });
    this.ended = new Promise((resolve) => {
      const over = (why: string): void =>
        void systemTime.setTimeout(() => resolve(this.#over(why)), LAST_LINES_MS);
      this.#process.once('exit', (code, signal) => over(signal ?? `exit code ${code}`));
      this.#process.once('error', (error: NodeJS.ErrnoException) => {
        if (pid !== undefined) return;
        over(error.code === 'ENOENT' ? this.#notFound(command, cwd) : error.message);
      });
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** The last characters that it wrote to stderr. */
  get stderr(): string {
    return this.#stderr.trim();
  }

  #notFound(command: string, cwd: string | undefined): string {
    return cwd === undefined ? `command not found: ${command}` : `${command} or ${cwd} not found`;
  }

  write(line: string): void {
    const { stdin } = this.#process;
    if ((stdin?.writableLength ?? 0) > LINE_LENGTH) this.kill('it does not read what it is sent');
    else stdin?.write(`${line}\n`);
  }

  /** What of a line has arrived. */
  #keep(line: string): void {
    arriving += line.length - this.#line.length;
    this.#line = line;
  }

  #read(text: string): void {
    this.#keep(this.#line + text);
    if (!text.includes('\n')) {
      const { length } = this.#line;
      if (length > LINE_LENGTH) this.kill(`it wrote a line of over ${LINE_LENGTH} bytes`);
      else if (length > FREE_LENGTH && arriving > ARRIVING_LENGTH)
        this.kill(`it wrote a line of over ${FREE_LENGTH} bytes while others wrote such lines`);
      return;
    }
    const lines = this.#line.split('\n');
    this.#keep(lines.pop() ?? '');
    for (const line of lines) if (line.trim() !== '') this.#events.line(line);
  }

  /** Ends the group at once. `why`: the error of its calls. */
  kill(why: string): void {
    this.#killed ??= why;
    this.#keep('');
    this.#process.stdout?.destroy();
    this.#signal('SIGKILL');
  }

  /** Resolves when no process of the group lives. */
  async stop(): Promise<void> {
    if (!this.#isStopping) {
      this.#isStopping = true;
      this.#process.stdin?.end();
      const timers = (['SIGTERM', 'SIGKILL'] as const).map((signal, n) =>
        systemTime.setTimeout(
          () => {
            if (signal === 'SIGKILL') this.#events.outlived(GRACE_MS * (n + 1));
            this.#signal(signal);
          },
          GRACE_MS * (n + 1),
        ),
      );
      void this.ended.then(() => timers.forEach(systemTime.clearTimeout));
    }
    await this.ended;
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      if (process.platform === 'win32') spawn('taskkill', ['/pid', String(pid), '/T', '/F']);
      else process.kill(-pid, signal);
    } catch {
      // The group has ended.
    }
  }

  #over(why: string): void {
    const { pid, stdin, stdout, stderr } = this.#process;
    for (const stream of [stdin, stdout, stderr]) stream?.destroy();
    this.#keep('');
    this.#signal('SIGKILL');
    if (pid !== undefined) releaseGroup(pid);
    sweepSoon(this.#mark);
    this.#events.ended(this.#killed ?? why);
  }
}
