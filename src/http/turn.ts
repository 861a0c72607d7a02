/**
 * One shared hook at the end of each event-loop turn. A call whose handler needs no I/O is answered within the turn
 * that read it. Writing all answers of a turn together, head and body in one piece, saves one system call and one
 * wake-up of the client per answer: answers that leave one by one, each when it is complete, cost a call a quarter more
 * CPU, and with a `setImmediate` for each of them an `initialize` takes a sixth more. A call that is unanswered at the
 * end of its turn gets its head, priming event and close listener only then.
 */

export interface TurnTask {
  endTurn(): void;
  /** Handles an error that `endTurn` threw. The other tasks of the turn still run. */
  fail(cause: unknown): void;
}

let tasks: TurnTask[] = [];

function flush(): void {
  const due = tasks;
  tasks = [];
  for (const task of due) {
    try {
      task.endTurn();
    } catch (cause) {
      task.fail(cause);
    }
  }
}

export function atEndOfTurn(task: TurnTask): void {
  if (tasks.length === 0) setImmediate(flush);
  tasks.push(task);
}
