// Clients with @connectrpc/connect-node at the doors of examples/doors: each protocol at
// the door of Connect v2 and of v1. It prints "ready" once a stream of each is open, and
// the results as JSON once the server has ended these streams.
//
//	READER=token EXPIRED=token OUTAGE=token node doors_connect.mjs ADDRESS DESCRIPTORS
import { ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { registryOf } from './details.mjs';

const [address, descriptors] = process.argv.slice(2);
const { READER, EXPIRED, OUTAGE } = process.env;
const registry = registryOf(descriptors);
const service = registry.getService('doors.v1.Orders');
const createTransport = {
  Connect: createConnectTransport, 'gRPC-Web': createGrpcWebTransport, gRPC: createGrpcTransport,
};

const options = (token) => ({ headers: token ? { authorization: `Bearer ${token}` } : {}, timeoutMs: 110_000 });

async function count(stream) {
  let messages = 0;
  for await (const _ of stream) messages += 1;
  return messages;
}

async function refused(call) {
  try {
    await call;
  } catch (error) {
    const refusal = ConnectError.from(error);
    return {
      code: refusal.code,
      reason: refusal.findDetails(registry.getMessage('google.rpc.ErrorInfo'))[0]?.reason ?? refusal.message,
      challenge: refusal.metadata.get('www-authenticate') ?? '',
      retry: refusal.metadata.get('retry-after') ?? refusal.metadata.get('grpc-retry-pushback-ms') ?? '',
    };
  }
  return { reason: 'none: the call was not refused' };
}

async function* messages(...list) { yield* list; }

async function visit(transport, bidi) {
  const client = createClient(service, transport);
  const report = {
    item: (await client.getOrder({ id: '1' }, options(READER))).product,
    messages: await count(client.listOrders({}, options(READER))),
    missing: await refused(client.getOrder({ id: '1' }, options())),
    missingStream: await refused(count(client.listOrders({}, options()))),
    expired: await refused(client.getOrder({ id: '1' }, options(EXPIRED))),
    expiredStream: await refused(count(client.listOrders({}, options(EXPIRED)))),
    scope: await refused(client.createOrder({ product: 'tea' }, options(READER))),
    unlisted: await refused(client.drop({}, options(READER))),
    outage: await refused(client.getOrder({ id: '1' }, options(OUTAGE))),
  };
  if (bidi) {
    report.bidi = await count(client.watchOrders(messages({ id: '1' }, { id: '1' }), options(READER)));
    report.missingBidi = await refused(count(client.watchOrders(messages({ id: '1' }), options())));
  }
  return report;
}

// open returns once the first message has come, with the rest of the stream.
async function open(transport) {
  let finish;
  const end = new Promise((resolve) => { finish = resolve; });
  async function* requests() {
    yield { id: '1' };
    await end;
  }
  const stream = createClient(service, transport).watchOrders(requests(), options(READER))[Symbol.asyncIterator]();
  await stream.next();
  return { rest: refused(stream.next()), finish };
}

const reports = {};
const streams = {};
for (const [door, path] of [['Connect v2', ''], ['Connect v1', '/connect-v1']]) {
  for (const [protocol, httpVersion] of [['Connect', '1.1'], ['Connect', '2'], ['gRPC-Web', '1.1'], ['gRPC-Web', '2'], ['gRPC', '2']]) {
    // The server passes gRPC calls for the first path to grpc-go.
    const name = `${protocol} over HTTP/${httpVersion} at ${protocol === 'gRPC' && path === '' ? 'gRPC' : door}`;
    // Connect may send the unary call as GET, because the method has no side effects.
    const transport = createTransport[protocol]({ baseUrl: `http://${address}${path}`, httpVersion, useHttpGet: httpVersion === '2' });
    reports[name] = await visit(transport, httpVersion === '2');
    if (httpVersion === '2') streams[name] = await open(transport);
  }
}
console.log('ready');
for (const [name, { rest, finish }] of Object.entries(streams)) {
  reports[name].ended = await rest;
  finish();
}
console.log(`report ${JSON.stringify(reports)}`);
process.exit(); // an HTTP/2 connection would idle on
