/**
 * One shared hook at the end of each event-loop turn. A call whose handler needs no I/O is answered within the turn
 * that read it. Writing all answers of a turn together, head and body in one piece, saves one system call and one
 * wake-up of the client per answer. A call that is unanswered at the end of its turn gets its head, priming event and
 * close listener only then.
 */

export interface TurnTask {
  endTurn(): void;
  /** Handles an error that `endTurn` threw. The other tasks of the turn still run. */
  crashed(cause: unknown): void;
}

/** A request. It may hold bytes of the memory budget, or be watched. */
export interface Holder {
  /** This turn has ended, and every task of it has run: most requests are answered, and hold nothing any more. */
  outlivesTurn(): void;
}

let tasks: TurnTask[] = [];
let holders = new Set<Holder>();
let isDue = false;

function flush(): void {
  const [dueTasks, dueHolders] = [tasks, holders];
  tasks = [];
  holders = new Set();
  isDue = false;
  for (const task of dueTasks) {
    try {
      task.endTurn();
    } catch (cause) {
      task.crashed(cause);
    }
  }
  for (const holder of dueHolders) holder.outlivesTurn();
}

function flushLater(): void {
  if (isDue) return;
  isDue = true;
  setImmediate(flush);
}

export function atEndOfTurn(task: TurnTask): void {
  tasks.push(task);
  flushLater();
}

/**
 * Its turn's end is heard after every task of the turn. `false`: it holds nothing any more. One turn can bring
 * thousands of requests, so none is kept until the turn ends.
 */
export function hearsTurnEnd(holder: Holder, holds: boolean): void {
  if (!holds) holders.delete(holder);
  else {
    holders.add(holder);
    flushLater();
  }
}
