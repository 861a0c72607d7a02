/**
 * One shared hook at the end of each event-loop turn. A call whose handler needs no I/O is answered within the turn
 * that read it. Writing all answers of a turn together, head and body in one piece, saves one system call and one
 * wake-up of the client per answer. A call that is unanswered at the end of its turn gets its head, priming event and
 * close listener only then.
 */
import type { Socket } from 'node:net';

export interface TurnTask {
  endTurn(): void;
  /** Handles an error that `endTurn` threw. The other tasks of the turn still run. */
  crashed(cause: unknown): void;
}

/** A request that holds bytes of the memory budget, or is watched. */
export interface Holder {
  /** This turn has ended, and every task of it has run: most requests are answered, and hold nothing any more. */
  outlivesTurn(): void;
}

let tasks: TurnTask[] = [];
let holders = new Set<Holder>();
let isDue = false;
/** Counts the turns that had something to do at their end. */
let turn = 0;

function flush(): void {
  const [dueTasks, dueHolders] = [tasks, holders];
  tasks = [];
  holders = new Set();
  isDue = false;
  turn += 1;
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
  if (!holds) return void holders.delete(holder);
  holders.add(holder);
  flushLater();
}

const LAST_TURN = Symbol('sojourn.turn');

/** Whether it is the first request that this connection brings in this turn. */
export function isFirstInTurn(socket: Socket & { [LAST_TURN]?: number }): boolean {
  if (socket[LAST_TURN] === turn) return false;
  socket[LAST_TURN] = turn;
  flushLater();
  return true;
}
