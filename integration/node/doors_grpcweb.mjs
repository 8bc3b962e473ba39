// The official grpc-web client, over an XMLHttpRequest for Node.js, at the doors of
// Connect v2 and v1 of examples/doors. It prints the results as JSON.
//
//	READER=token EXPIRED=token OUTAGE=token node doors_grpcweb.mjs ADDRESS DESCRIPTORS
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import grpcWeb from 'grpc-web';
import XMLHttpRequest from 'xhr2';
import { reasonOf, registryOf } from './details.mjs';

globalThis.XMLHttpRequest = XMLHttpRequest;

const [address, descriptors] = process.argv.slice(2);
const { READER, EXPIRED, OUTAGE } = process.env;
const registry = registryOf(descriptors);
const service = registry.getService('doors.v1.Orders');

// descriptorOf returns what protoc-gen-grpc-web generates for a method.
function descriptorOf(name) {
  const { input, output, methodKind } = service.method[name];
  const type = methodKind === 'unary' ? grpcWeb.MethodType.UNARY : grpcWeb.MethodType.SERVER_STREAMING;
  return new grpcWeb.MethodDescriptor(
    `/doors.v1.Orders/${service.method[name].name}`, type, Object, Object,
    (request) => toBinary(input, create(input, request)), (bytes) => fromBinary(output, bytes),
  );
}

async function visit(base) {
  const client = new grpcWeb.GrpcWebClientBase({ format: 'binary' });
  const metadata = (token) => (token ? { authorization: `Bearer ${token}` } : {});
  // withHeaders adds the headers of a call to its error, which has only the trailers. The
  // client announces the headers last.
  const withHeaders = (call, reject) => {
    const headers = new Promise((resolve) => { call.on('metadata', resolve); });
    return async (error) => reject(Object.assign(error, { headers: await headers }));
  };
  const unary = (name, request, token) => new Promise((resolve, reject) => {
    const method = descriptorOf(name);
    const call = client.rpcCall(base + method.getName(), request, metadata(token), method,
      (error, response) => (error ? fail(error) : resolve(response)));
    const fail = withHeaders(call, reject);
  });
  const list = (token) => new Promise((resolve, reject) => {
    const method = descriptorOf('listOrders');
    let [messages, failed] = [0, false];
    const call = client.serverStreaming(base + method.getName(), {}, metadata(token), method);
    call.on('data', () => { messages += 1; });
    const fail = withHeaders(call, reject);
    call.on('error', (error) => { failed = true; fail(error); });
    call.on('end', () => { if (!failed) resolve(messages); });
  });
  const refused = async (promise) => {
    try {
      await promise;
    } catch (error) {
      const details = error.metadata?.['grpc-status-details-bin'];
      return {
        code: error.code,
        reason: details ? reasonOf(registry, Buffer.from(details, 'base64')) : error.message,
        challenge: error.headers?.['www-authenticate'] ?? '',
        retry: error.headers?.['retry-after'] ?? '',
      };
    }
    return { reason: 'none: the call was not refused' };
  };
  return {
    item: (await unary('getOrder', { id: '1' }, READER)).product,
    messages: await list(READER),
    missing: await refused(unary('getOrder', { id: '1' })),
    missingStream: await refused(list()),
    expired: await refused(unary('getOrder', { id: '1' }, EXPIRED)),
    expiredStream: await refused(list(EXPIRED)),
    scope: await refused(unary('createOrder', { product: 'tea' }, READER)),
    unlisted: await refused(unary('drop', { id: '1' }, READER)),
    outage: await refused(unary('getOrder', { id: '1' }, OUTAGE)),
  };
}

const reports = {
  'grpc-web at Connect v2': await visit(`http://${address}`),
  'grpc-web at Connect v1': await visit(`http://${address}/connect-v1`),
};
console.log(`ready\nreport ${JSON.stringify(reports)}`); // no stream of this client stays open
