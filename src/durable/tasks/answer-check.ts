/**
 * Whether an answer is what its question asks for. The checks are those of the SDK in a session: the schema of the
 * result, and of a form its `requestedSchema`. What the SDK drops from a result, its handler does not get here either.
 */
import { specTypeSchemas } from '@modelcontextprotocol/server';
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/server/validators/ajv';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { methodOf } from '../../base/protocol/methods.ts';
import type { InputRequest } from './task-record.ts';

/** The part of a message of the SDK that a client is shown. */
const WHY_LENGTH = 500;

/** JSON text of a right answer, or why it is wrong. */
export type CheckedAnswer = { readonly json: string } | { readonly why: string };

type AskedMembers = Readonly<Record<string, unknown>>;

function resultSchema(method: string, asked: AskedMembers) {
  switch (methodOf(method).asks) {
    case 'elicitation':
      return specTypeSchemas.ElicitResult;
    case 'sampling': {
      const hasTools = asked['tools'] !== undefined || asked['toolChoice'] !== undefined;
      return hasTools
        ? specTypeSchemas.CreateMessageResultWithTools
        : specTypeSchemas.CreateMessageResult;
    }
    case 'roots':
      return specTypeSchemas.ListRootsResult;
    default:
      return specTypeSchemas.Result;
  }
}

export function checkedAnswer({ method, params }: InputRequest, answer: unknown): CheckedAnswer {
  const asked: AskedMembers = isObject(params) ? params : {};
  const { issues, value } = resultSchema(method, asked)['~standard'].validate(answer) as FormResult;
  const why =
    issues?.map(({ message }) => message).join(', ') ??
    formProblem(asked['requestedSchema'], value);
  return why === undefined ? { json: JSON.stringify(value) } : { why: why.slice(0, WHY_LENGTH) };
}

interface FormResult {
  readonly issues?: ReadonlyArray<{ readonly message: string }>;
  readonly value?: unknown;
}

/** `undefined`: there is no form, or the content is right. */
function formProblem(requested: unknown, result: unknown): string | undefined {
  if (!isObject(requested) || !isObject(result)) return undefined;
  const { action, content } = result;
  if (action !== 'accept' || content === undefined) return undefined;
  return validatorOf(requested)(content).errorMessage;
}

/** A validator keeps each schema that it has compiled, and takes schemas with the same `$id` for one: each has its own. */
const validatorOf = (schema: AskedMembers) => new AjvJsonSchemaValidator().getValidator(schema);

/** Why no answer can be checked against the form of a question; `undefined`: one can. */
export function uncheckable(question: unknown): string | undefined {
  const params = isObject(question) ? question['params'] : undefined;
  const requested = isObject(params) ? params['requestedSchema'] : undefined;
  if (!isObject(requested)) return undefined;
  try {
    validatorOf(requested);
    return undefined;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}
