// A client with @grpc/grpc-js. It prints what it saw as JSON.
//
//   CA=ca.pem EXPIRED=token NO_KEYS=token REVOKED=token node grpcjs.mjs ADDRESS DESCRIPTORS TOKEN tls|plain
import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import { reasonOf, registryOf } from './details.mjs';

const [address, descriptors, token, security] = process.argv.slice(2);
const api = grpc.loadPackageDefinition(loader.loadFileDescriptorSetFromBuffer(readFileSync(descriptors)));
const registry = registryOf(descriptors);
const credentials = security === 'tls'
  ? grpc.credentials.createSsl(readFileSync(process.env.CA))
  : grpc.credentials.createInsecure();
const client = new api.orders.v1.Orders(address, credentials);

const bare = new grpc.Metadata();
const authorized = new grpc.Metadata();
authorized.set('authorization', `Bearer ${token}`);
const withToken = (other) => {
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${other}`);
  return metadata;
};
const { EXPIRED, NO_KEYS, REVOKED } = process.env;
const options = { deadline: Date.now() + 20_000 };

const unary = (method, request, metadata) => new Promise((resolve, reject) => {
  client[method](request, metadata, options, (error, response) => (error ? reject(error) : resolve(response)));
});

const stream = (method, request, metadata) => new Promise((resolve, reject) => {
  let messages = 0;
  client[method](request, metadata, options)
    .on('data', () => { messages += 1; })
    .on('error', reject)
    .on('end', () => resolve(messages));
});

async function refused(call) {
  try {
    await call;
  } catch (error) {
    return {
      code: error.code,
      message: error.details,
      reason: reasonOf(registry, error.metadata.get('grpc-status-details-bin')[0]),
      challenge: error.metadata.get('www-authenticate').join(),
      retry: error.metadata.get('grpc-retry-pushback-ms').length > 0,
    };
  }
  throw new Error('the call was not refused');
}

console.log(JSON.stringify({
  item: (await unary('GetOrder', { id: '7' }, authorized)).item,
  messages: await stream('WatchOrders', { count: 3 }, authorized),
  missing: await refused(unary('GetOrder', {}, bare)),
  missingStream: await refused(stream('WatchOrders', { count: 3 }, bare)),
  scope: await refused(unary('CreateOrder', {}, authorized)),
  expired: await refused(unary('GetOrder', { id: '7' }, withToken(EXPIRED))),
  expiredStream: await refused(stream('WatchOrders', { count: 3 }, withToken(EXPIRED))),
  noKeys: await refused(unary('GetOrder', { id: '7' }, withToken(NO_KEYS))),
  ended: await refused(stream('WatchOrders', { count: -1 }, withToken(REVOKED))),
}));
client.close();
