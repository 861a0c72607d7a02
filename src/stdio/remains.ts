/**
 * No process of a child outlives its gateway, however either of them ends:
 *
 * - The child ended or was stopped: its process group is killed, then each process with its mark.
 * - The gateway ended, SIGKILL included: the warden, a shell that reads a pipe of the gateway, does
 *   the same for all children.
 * - The warden was killed too: the next gateway kills marked processes of dead gateways.
 *
 * A mark is a variable of the environment. Descendants inherit it, and keep it when they leave the
 * process group. Only Linux shows the environment of a process: elsewhere only groups are killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { orUndefined } from '../base/or-undefined.ts';
import { processStart, systemTime } from '../base/system.ts';

export const MARK = 'SOJOURN_STDIO_CHILD';

/** In /proc/<pid>/stat, behind the name of the program. */
const STAT = { group: 2, startTime: 19, residentPages: 21 };
const PAGE_BYTES = 4_096;

function statOf(pid: number | string): readonly string[] | undefined {
  const text = orUndefined(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

const startOf = (pid: number | string): string | undefined => statOf(pid)?.[STAT.startTime];

/** Process ids of other containers are other processes, and a gateway may see those too. */
const PID_SPACE =
  orUndefined(() => readlinkSync('/proc/self/ns/pid'))?.replaceAll(/\D/g, '') ?? '0';

/** The marks of this gateway begin with it. The start time tells it from a later process of its id. */
const OWN = `${PID_SPACE}.${process.pid}.${startOf('self') ?? processStart}.`;

export const markOf = (child: number): string => `${OWN}${child}`;

const processes = (): readonly string[] =>
  (orUndefined(() => readdirSync('/proc')) ?? []).filter((name) => /^\d+$/.test(name));

function readMark(pid: string): string | undefined {
  const environment = orUndefined(() => readFileSync(`/proc/${pid}/environ`, 'latin1'));
  const found = environment?.split('\0').find((entry) => entry.startsWith(`${MARK}=`));
  return found?.slice(MARK.length + 1);
}

/** Kills each process whose mark is `wanted`. Returns their number. */
function sweep(wanted: (mark: string) => boolean): number {
  let killed = 0;
  for (const pid of processes()) {
    const mark = readMark(pid);
    if (mark === undefined || Number(pid) === process.pid || !wanted(mark)) continue;
    if (orUndefined(() => process.kill(Number(pid), 'SIGKILL')) === true) killed += 1;
  }
  return killed;
}

let warden: ChildProcess | undefined;
/** The groups that live. A warden that is started again needs them all. */
const groups = new Set<number>();
let folder: string | undefined;

/** Each look reads the environment of all processes, and many children may end at once. */
const SWEEP_MS = 200;
const ended = new Set<string>();

/** Kills what has the mark of a child that ended. */
export function sweepSoon(mark: string): void {
  if (process.platform !== 'linux') return;
  if (ended.size === 0)
    systemTime.setTimeout(() => {
      const marks = new Set(ended);
      ended.clear();
      sweep((found) => marks.has(found));
    }, SWEEP_MS);
  ended.add(mark);
}

/** All children have ended: kills what is due now, because no timer runs once the process ends. */
export function endGuard(): void {
  if (ended.size > 0) sweep((found) => ended.has(found));
  ended.clear();
  // Children of another gateway in this process may live.
  if (groups.size > 0 || warden === undefined) return;
  warden.stdin?.end('x 0\n');
  warden = undefined;
}

/** Kills the children of gateways that are dead. Returns their number. */
export function sweepDeadGateways(): number {
  return sweep((mark) => {
    const [space, pid = '', start] = mark.split('.');
    return space === PID_SPACE && startOf(pid) !== start;
  });
}

/** Kills what this process, or a gateway among these processes, has left. Returns their number. */
export const sweepRemains = (gateways: readonly number[]): number =>
  sweep(
    (mark) =>
      mark.startsWith(OWN) || gateways.some((pid) => mark.startsWith(`${PID_SPACE}.${pid}.`)),
  );

/** The resident memory of process groups, in bytes, by group. A group without an entry is unknown. */
export function groupBytes(groups: ReadonlySet<number>): ReadonlyMap<number, number> {
  const bytes = new Map<number, number>();
  for (const pid of processes()) {
    const stat = statOf(pid);
    const group = Number(stat?.[STAT.group]);
    if (!groups.has(group)) continue;
    bytes.set(group, (bytes.get(group) ?? 0) + Number(stat?.[STAT.residentPages]) * PAGE_BYTES);
  }
  return bytes;
}

/**
 * Its argument is `OWN`. It gets a line for each group that begins (+) and has ended (-), for a folder that goes with
 * the groups (d), and `x` when it is not needed any more. Its input ends with the gateway. A session of its own keeps it
 * from the signals of a terminal.
 */
const WARDEN = `
trap '' TERM INT HUP
groups=' '
folder=
while read -r op group; do
  [ "$op" = x ] && exit
  if [ "$op" = d ]; then folder=$group
  elif [ "$op" = + ]; then groups="$groups$group "
  else groups="\${groups%% $group *} \${groups#* $group }"; fi
done
for group in $groups; do kill -TERM -- "-$group" 2>/dev/null; done
case $groups in *[0-9]*) sleep 1; esac
for group in $groups; do kill -KILL -- "-$group" 2>/dev/null; done
for file in /proc/[0-9]*/environ; do
  if grep -qsaF "${MARK}=$1" "$file"; then
    pid=\${file#/proc/}
    kill -KILL "\${pid%/environ}" 2>/dev/null
  fi
done
[ -n "$folder" ] && rm -rf -- "$folder"
`;

function startWarden(): ChildProcess {
  const started = spawn('/bin/sh', ['-c', WARDEN, 'sojourn-warden', OWN], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  started.on('error', () => {});
  started.stdin?.on('error', () => {});
  started.unref();
  const { stdin } = started as unknown as { readonly stdin: { unref?(): void } | null };
  stdin?.unref?.();
  if (folder !== undefined) started.stdin?.write(`d ${folder}\n`);
  for (const group of groups) started.stdin?.write(`+ ${group}\n`);
  return started;
}

/** The warden removes a folder where this process cannot. Call it before the folder is made. */
export function guardFolder(path: string): void {
  folder = path;
  warden = startWarden();
}

/** Tells the warden of a group that begins. */
export function guardGroup(group: number): void {
  if (process.platform === 'win32') return;
  const isFirst = warden?.stdin?.writable !== true;
  groups.add(group);
  if (isFirst) warden = startWarden();
  else warden?.stdin?.write(`+ ${group}\n`);
}

/** Tells the warden of a group that has ended: another process may get its id. */
export function releaseGroup(group: number): void {
  if (groups.delete(group) && warden?.stdin?.writable === true) warden.stdin.write(`- ${group}\n`);
}
