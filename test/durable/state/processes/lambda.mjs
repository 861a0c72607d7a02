/** One call in a process of its own, which ends with its answer: `node lambda.mjs <event>`. */
import { handler } from '../../../../examples/lambda/handler.js';

// The runtime of Lambda keeps the process while a call runs.
setInterval(() => {}, 60_000);
const { statusCode, body } = await handler(JSON.parse(process.argv[2]), { awsRequestId: '1' });
process.stdout.write(`${statusCode} ${body}\n`, () => process.exit());
