/** The parts of a core that serve tasks (`tasks/`). */
import type { ModernEra } from '../eras/modern/modern-era.ts';
import type { ResolvedTasks } from '../options/tasks-options.ts';
import type { OwnedParts } from '../owned/owned-records.ts';
import { TakeOver } from '../tasks/take-over.ts';
import { TaskRequests } from '../tasks/task-requests.ts';
import type { TaskRun, TaskRunner } from '../tasks/task-run.ts';
import { Tasks } from '../tasks/tasks.ts';

export class EndpointTaskParts implements TaskRunner {
  readonly tasks: Tasks;
  readonly requests: TaskRequests;
  readonly #takeOver: TakeOver;
  #era: ModernEra | undefined;

  constructor(given: OwnedParts, settings: ResolvedTasks) {
    this.tasks = new Tasks(given, settings);
    this.#takeOver = new TakeOver(this.tasks, this);
    this.requests = new TaskRequests(this.tasks, this.#takeOver, this);
  }

  serveWith(era: ModernEra): void {
    this.#era = era;
  }

  serveUnattended(run: TaskRun): void {
    this.#era?.serveUnattended(run, run);
  }

  async close(graceMs: number): Promise<void> {
    this.#takeOver.stop();
    await this.tasks.close(graceMs);
  }
}
