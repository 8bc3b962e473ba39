// Calls with the recipe of docs/clients.md. It prints what it saw as JSON.
//
//   CA=ca.pem node retry_check.mjs RECIPE ADDRESS DESCRIPTORS EXPIRED FRESH
import { readFileSync } from 'node:fs';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { registryOf } from './details.mjs';

const [recipe, baseUrl, descriptors, expired, fresh] = process.argv.slice(2);
const { openingRefusal, withTokens } = await import(recipe);
const registry = registryOf(descriptors);
const errorInfo = registry.getMessage('google.rpc.ErrorInfo');

function clientOf(tokens) {
  return createClient(registry.getService('orders.v1.Orders'), createGrpcTransport({
    baseUrl, nodeOptions: { ca: readFileSync(process.env.CA) }, interceptors: [withTokens(tokens, errorInfo)],
  }));
}

async function outcome(call) {
  let asked = 0;
  const client = clientOf(async (refused) => { asked += 1; return refused === expired ? fresh : expired; });
  try {
    await call(client);
    return `ok, ${asked} tokens`;
  } catch (error) {
    return `${error.code} ${openingRefusal(error, errorInfo) ?? 'unmarked'}, ${asked} tokens`;
  }
}

async function drain(stream) {
  for await (const _ of stream);
}

console.log(JSON.stringify({
  renewed: await outcome((client) => client.getOrder({ id: '7' })),
  ended: await outcome((client) => client.refundOrder({})),
  stream: await outcome((client) => drain(client.watchOrders({}))),
}));
process.exit(); // an HTTP/2 connection would idle on
