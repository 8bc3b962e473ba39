// The API and the details of errors, from descriptors.
import { readFileSync } from 'node:fs';
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

export function registryOf(file) {
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(file)));
}

// reasonOf returns the reason in a grpc-status-details-bin value.
export function reasonOf(registry, bytes) {
  const status = fromBinary(registry.getMessage('google.rpc.Status'), bytes);
  const errorInfo = registry.getMessage('google.rpc.ErrorInfo');
  const detail = status.details.find(({ typeUrl }) => typeUrl.endsWith('/google.rpc.ErrorInfo'));
  return fromBinary(errorInfo, detail.value).reason;
}
