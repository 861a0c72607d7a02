/** A small client with tasks: it declares the extension in each request, and asks for its task until that has ended. */
import { setTimeout as pause } from 'node:timers/promises';

const META = 'io.modelcontextprotocol';
const _meta = {
  [`${META}/protocolVersion`]: '2026-07-28',
  [`${META}/clientCapabilities`]: { elicitation: { form: {} }, extensions: { [`${META}/tasks`]: {} } },
};

export interface Task {
  taskId: string;
  status: 'working' | 'input_required' | 'completed' | 'failed' | 'cancelled';
  pollIntervalMs: number;
  statusMessage?: string;
  inputRequests?: Record<string, { params: { message: string } }>;
  result?: { content: Array<{ text: string }> };
  error?: { message: string };
}

interface Params {
  name?: string;
  taskId?: string;
  [more: string]: unknown;
}

/** `tools/call` answers with a task too, where the tool makes one. */
export async function ask(url: string, method: string, params: Params): Promise<Task> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'MCP-Protocol-Version': '2026-07-28',
      'Mcp-Method': method,
      'Mcp-Name': String(params.name ?? params.taskId),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }),
  });
  const text = await response.text();
  const json = text.startsWith('{') ? text : text.slice(text.lastIndexOf('\ndata: {') + '\ndata: '.length);
  const { result, error } = JSON.parse(json) as { result: Task; error?: { message: string } };
  if (error !== undefined) throw new Error(error.message);
  return result;
}

/** The task, once it waits for its client or has ended. Prints what it shows on the way. */
export async function follow(url: string, { taskId }: Task): Promise<Task> {
  for (let shown = ''; ;) {
    const task = await ask(url, 'tasks/get', { taskId });
    if (task.statusMessage !== undefined && task.statusMessage !== shown) console.log(`  ${task.statusMessage}`);
    shown = task.statusMessage ?? shown;
    if (task.status !== 'working') return task;
    await pause(task.pollIntervalMs);
  }
}
