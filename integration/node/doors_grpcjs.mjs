// A client with @grpc/grpc-js at the gRPC door of examples/doors, with calls of every
// shape. It prints "ready" once a stream is open, and the results as JSON once the server
// has ended it.
//
//	READER=token EXPIRED=token OUTAGE=token node doors_grpcjs.mjs ADDRESS DESCRIPTORS
import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import { reasonOf, registryOf } from './details.mjs';

const [address, descriptors] = process.argv.slice(2);
const { READER, EXPIRED, OUTAGE } = process.env;
const registry = registryOf(descriptors);
const api = grpc.loadPackageDefinition(loader.loadFileDescriptorSetFromBuffer(readFileSync(descriptors)));
const client = new api.doors.v1.Orders(address, grpc.credentials.createInsecure());
const options = { deadline: Date.now() + 110_000 };

const metadata = (token) => {
  const result = new grpc.Metadata();
  if (token) result.set('authorization', `Bearer ${token}`);
  return result;
};

// withHeaders adds the headers of a call to its error, which has only the trailers. A
// server of net/http sends the challenge as a header.
const withHeaders = (call, reject) => {
  let headers = new grpc.Metadata();
  call.on('metadata', (sent) => { headers = sent; });
  return (error) => reject(Object.assign(error, { headers }));
};

const unary = (method, request, token) => new Promise((resolve, reject) => {
  const call = client[method](request, metadata(token), options, (error, response) => (error ? fail(error) : resolve(response)));
  const fail = withHeaders(call, reject);
});

// count resolves with the number of messages once a stream has ended.
const count = (call) => new Promise((resolve, reject) => {
  let messages = 0;
  call.on('data', () => { messages += 1; }).on('error', withHeaders(call, reject)).on('end', () => resolve(messages));
});

const list = (token) => count(client.listOrders({}, metadata(token), options));

const watch = (token) => {
  const call = client.watchOrders(metadata(token), options);
  call.write({ id: '1' });
  call.write({ id: '1' });
  call.end();
  return count(call);
};

const importOrders = (token) => new Promise((resolve, reject) => {
  const call = client.importOrders(metadata(token), options, (error, response) => (error ? fail(error) : resolve(response)));
  const fail = withHeaders(call, reject);
  call.write({ product: 'tea' });
  call.end();
});

async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    const details = error.metadata.get('grpc-status-details-bin')[0];
    return {
      code: error.code,
      reason: details ? reasonOf(registry, details) : error.details,
      challenge: error.headers.get('www-authenticate').join(),
      retry: error.metadata.get('grpc-retry-pushback-ms').join(),
    };
  }
  return { reason: 'none: the call was not refused' };
}

const report = {
  item: (await unary('getOrder', { id: '1' }, READER)).product,
  messages: await list(READER),
  bidi: await watch(READER),
  missing: await refused(unary('getOrder', { id: '1' })),
  missingStream: await refused(list()),
  missingBidi: await refused(watch()),
  expired: await refused(unary('getOrder', { id: '1' }, EXPIRED)),
  expiredStream: await refused(list(EXPIRED)),
  scope: await refused(unary('createOrder', { product: 'tea' }, READER)),
  scopeStream: await refused(importOrders(READER)),
  unlisted: await refused(unary('drop', { id: '1' }, READER)),
  outage: await refused(unary('getOrder', { id: '1' }, OUTAGE)),
};
const open = client.watchOrders(metadata(READER), options);
open.once('data', () => console.log('ready'));
open.write({ id: '1' });
report.ended = await refused(count(open));
console.log(`report ${JSON.stringify({ 'grpc-js': report })}`);
process.exit();
