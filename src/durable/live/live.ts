/**
 * `live()`: a tool whose handler works with an object that stays in the memory of one instance, behind a handle: a page
 * of a browser, a REPL, a cursor of a database. Calls for a handle run on the instance that has its object
 * (`live-objects.ts`), whichever instance they reach.
 */
import { stateOutside } from '../../base/errors.ts';
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import type { MaybePromise } from '../../base/types.ts';
import { type Call, currentCall } from '../../session/calls/call.ts';
import { addLiveTool } from '../../session/calls/live-tools.ts';
import { LiveObjects } from './live-objects.ts';
import { checkLive, type LiveObject, type LiveOptions, type LiveSettings } from './live-options.ts';

/**
 * Wraps the handler of a tool with an `inputSchema`. It gets one more argument, its `LiveObject`. Throws a
 * `TypeError` or `RangeError` for an invalid option.
 * @experimental
 */
export function live<T, Args, Context, Result>(
  options: LiveOptions<T, NoInfer<Args>>,
  handler: (args: Args, ctx: Context, live: LiveObject<T>) => MaybePromise<Result>,
): (args: Args, ctx: Context) => Promise<Result> {
  const settings = checkLive(options as LiveOptions, handler);
  const tool = async (args: Args, ctx: Context): Promise<Result> => {
    const call = currentCall.getStore();
    const objects = call?.services?.live;
    if (call === undefined || !(objects instanceof LiveObjects)) throw stateOutside('live()');
    return objects.run(call, settings, settings.id(args), (object) =>
      handler(args, ctx, object as LiveObject<T>),
    );
  };
  const known = { kind: settings.kind, idIn: (asked: RpcRequest) => idIn(settings, asked) };
  addLiveTool(tool, {
    place(call: Call, request: RpcRequest, home, of) {
      const objects = call.services?.live;
      if (!(objects instanceof LiveObjects)) return undefined;
      objects.learn(call.target, known);
      const id = known.idIn(request);
      return id === undefined
        ? undefined
        : objects.place({ call, request, home, tool: of }, settings, id);
    },
  });
  return tool;
}

/** What does not fit the schema of the tool gets its answer there. */
function idIn(settings: LiveSettings, { params }: RpcRequest): unknown {
  const args = params?.['arguments'];
  try {
    return settings.id(isObject(args) ? args : {});
  } catch {
    return undefined;
  }
}
