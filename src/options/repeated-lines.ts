/**
 * Log lines about something that lasts, one subject each: the first time at once, then how often in a pause that
 * doubles.
 *
 *     quiet ──noted──▶ line ──pause──▶ noted in it: line, twice the pause │ not noted: quiet
 */
import type { TimeProvider } from '../types.ts';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 3_600_000;
/** Subjects with lines of their own. Further subjects share one. */
const SUBJECTS = 64;
const OTHERS = '';

interface Subject {
  times: number;
  pauseMs: number;
}

export class RepeatedLines {
  readonly #time: Required<TimeProvider>;
  readonly #subjects = new Map<string, Subject>();

  constructor(time: Required<TimeProvider>) {
    this.#time = time;
  }

  /** `write` writes the line. `times`: how often it was noted since the line before. */
  note(about: string, write: (times: number) => void): void {
    const key = this.#subjects.has(about) || this.#subjects.size < SUBJECTS ? about : OTHERS;
    const known = this.#subjects.get(key);
    if (known !== undefined) {
      known.times += 1;
      return;
    }
    const subject: Subject = { times: 0, pauseMs: FIRST_PAUSE_MS };
    this.#subjects.set(key, subject);
    this.#pause(key, subject, write);
    write(1);
  }

  #pause(key: string, subject: Subject, write: (times: number) => void): void {
    this.#time.setTimeout(() => {
      const { times } = subject;
      if (times === 0) return void this.#subjects.delete(key);
      subject.times = 0;
      subject.pauseMs = Math.min(2 * subject.pauseMs, LONGEST_PAUSE_MS);
      this.#pause(key, subject, write);
      write(times);
    }, subject.pauseMs);
  }
}
