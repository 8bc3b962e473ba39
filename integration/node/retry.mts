import type { DescMessage } from '@bufbuild/protobuf';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';

/** Returns a token. It fetches a new one if `refused` is the current one. */
export type Tokens = (refused?: string) => Promise<string>;

/**
 * Returns the reason of a refusal at the opening of a call. Then no handler ran, and the
 * call may be repeated. `errorInfo` is the generated schema of google.rpc.ErrorInfo.
 */
export function openingRefusal(error: unknown, errorInfo: DescMessage): string | undefined {
  const refusal = ConnectError.from(error);
  if (refusal.code !== Code.Unauthenticated) return undefined;
  for (const detail of refusal.findDetails(errorInfo)) {
    const { domain, reason, metadata } = detail as unknown as {
      domain: string; reason: string; metadata: Record<string, string>;
    };
    if (domain === 'auth0grpc' && metadata.beforeHandler === 'true') return reason;
  }
  return undefined;
}

const renewable = new Set(['TOKEN_EXPIRED', 'TOKEN_REVOKED']);

/** Sends a token with each call, and repeats a unary call once with a new token. */
export function withTokens(tokens: Tokens, errorInfo: DescMessage): Interceptor {
  return (next) => async (request) => {
    const token = await tokens();
    request.header.set('authorization', `Bearer ${token}`);
    if (request.stream) return next(request);
    try {
      return await next(request);
    } catch (error) {
      const reason = openingRefusal(error, errorInfo);
      if (reason === undefined || !renewable.has(reason)) throw error;
      const renewed = await tokens(token);
      if (renewed === token) throw error;
      request.header.set('authorization', `Bearer ${renewed}`);
      return next(request);
    }
  };
}
