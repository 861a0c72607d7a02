/** One call in a process of its own, which ends with its answer: `node lambda.mjs <event>`. */
import { handler } from '../../../../examples/lambda/handler.js';

const { statusCode, body } = await handler(JSON.parse(process.argv[2]), { awsRequestId: '1' });
process.stdout.write(`${statusCode} ${body}\n`, () => process.exit());
