/**
 * One shared hook at the end of each event-loop turn. A call whose handler needs no I/O is answered within the turn that
 * read it; writing all answers of a turn together, head and body in one piece, saves a system call and a wake-up of the
 * client per answer. What is still unanswered at the end of its turn gets its head, its priming event and its close
 * listener then, and not before.
 */
export interface TurnTask {
  endTurn(): void;
  /** Told of what `endTurn` threw; the other tasks of the turn run all the same. */
  crashed(cause: unknown): void;
}

let tasks: TurnTask[] = [];

function flush(): void {
  const due = tasks;
  tasks = [];
  for (const task of due) {
    try {
      task.endTurn();
    } catch (cause) {
      task.crashed(cause);
    }
  }
}

export function atEndOfTurn(task: TurnTask): void {
  if (tasks.push(task) === 1) setImmediate(flush);
}
