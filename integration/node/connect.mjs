// A client with @connectrpc/connect-node. It prints what it saw as JSON.
//
//   CA=ca.pem node connect.mjs grpc|grpc-web|connect ADDRESS DESCRIPTORS TOKEN
import { readFileSync } from 'node:fs';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { registryOf } from './details.mjs';

const [protocol, baseUrl, descriptors, token] = process.argv.slice(2);
const registry = registryOf(descriptors);
const nodeOptions = { ca: readFileSync(process.env.CA) };
const transport = {
  grpc: () => createGrpcTransport({ baseUrl, nodeOptions }),
  'grpc-web': () => createGrpcWebTransport({ baseUrl, nodeOptions, httpVersion: '1.1' }),
  connect: () => createConnectTransport({ baseUrl, nodeOptions, httpVersion: '1.1' }),
}[protocol]();
const client = createClient(registry.getService('orders.v1.Orders'), transport);
const authorized = { headers: { authorization: `Bearer ${token}` }, timeoutMs: 20_000 };
const bare = { timeoutMs: 20_000 };

async function count(stream) {
  let messages = 0;
  for await (const _ of stream) messages += 1;
  return messages;
}

async function refused(call) {
  try {
    await call;
  } catch (error) {
    return {
      code: error.code,
      message: error.rawMessage,
      reason: error.findDetails(registry.getMessage('google.rpc.ErrorInfo'))[0].reason,
      challenge: error.metadata.get('www-authenticate'),
    };
  }
  throw new Error('the call was not refused');
}

console.log(JSON.stringify({
  item: (await client.getOrder({ id: '7' }, authorized)).item,
  messages: await count(client.watchOrders({ count: 3 }, authorized)),
  missing: await refused(client.getOrder({}, bare)),
  missingStream: await refused(count(client.watchOrders({ count: 3 }, bare))),
  scope: await refused(client.createOrder({}, authorized)),
}));
process.exit(); // an HTTP/2 connection would idle on
