// What makes oidc-provider look like Auth0: its paths, its audience parameter,
// its access tokens.
import { readFileSync } from 'node:fs';
import { errors } from 'oidc-provider';

export const tenant = JSON.parse(readFileSync(new URL('tenant.json', import.meta.url), 'utf8'));

const day = 24 * 60 * 60;
const organizations = new Map(); // by grant: the organization that the user logged in to

export function userById(id) {
  return tenant.users.find((user) => user.id === id);
}

// api is what oidc-provider calls a resource server. Auth0's RBAC gives a user
// the scopes that the user was assigned.
export function api(audience) {
  if (audience !== tenant.audience && audience !== tenant.rfc9068Audience) {
    throw new errors.InvalidTarget();
  }
  return {
    audience,
    scope: tenant.scopes.join(' '),
    accessTokenFormat: 'jwt',
    accessTokenTTL: day,
    jwt: { sign: { alg: 'RS256' } },
  };
}

export function allowed(user, scopes) {
  return scopes.filter((scope) => tenant.scopes.includes(scope) && user.permissions.includes(scope)).join(' ');
}

function forbidden(user, scopes) {
  return scopes.filter((scope) => !user.permissions.includes(scope)).join(' ');
}

// Applications of one's own need no consent.
async function loadExistingGrant(ctx) {
  const { client, session, params, provider } = ctx.oidc;
  const user = userById(session.accountId);
  const grant = new provider.Grant({ clientId: client.clientId, accountId: user.id });
  grant.addOIDCScope('openid offline_access');
  if (params.resource) {
    grant.addResourceScope(params.resource, params.scope);
    // What the user may not do is settled, and nothing to ask consent for.
    grant.rejectResourceScope(params.resource, forbidden(user, params.scope.split(' ')));
  }
  const id = await grant.save();
  if (params.organization) organizations.set(id, params.organization);
  return grant;
}

// Auth0's own profile of access tokens; the other audience keeps that of RFC
// 9068, which is oidc-provider's.
function auth0Profile(ctx, token, jwt) {
  const { payload } = jwt;
  if (token.accountId) {
    payload.permissions = userById(token.accountId).permissions;
  }
  if (organizations.has(token.grantId)) {
    payload.org_id = organizations.get(token.grantId);
  }
  if (payload.aud !== tenant.audience) return;
  jwt.header = { typ: 'JWT' };
  payload.azp = payload.client_id;
  delete payload.client_id;
  delete payload.jti;
  if (!token.accountId) {
    payload.sub = `${payload.azp}@clients`;
    payload.gty = 'client-credentials';
  } else if (token.gty === 'password') {
    payload.gty = 'password';
  }
  if (ctx.oidc.requestParamScopes?.has('openid') || token.gty === 'authorization_code') {
    payload.aud = [payload.aud, `${payload.iss}userinfo`];
  }
}

export const configuration = {
  clients: tenant.clients.map((client) => ({
    redirect_uris: client.response_types ? [tenant.callback] : [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_post',
    ...client,
  })),
  responseTypes: ['code', 'id_token', 'id_token token', 'code id_token', 'code id_token token'],
  routes: {
    authorization: '/authorize',
    token: '/oauth/token',
    device_authorization: '/oauth/device/code',
    code_verification: '/activate',
    jwks: '/.well-known/jwks.json',
    revocation: '/oauth/revoke',
    userinfo: '/userinfo',
  },
  scopes: ['openid', 'offline_access'],
  extraParams: ['audience', 'organization'],
  pkce: { required: (ctx, client) => client.clientAuthMethod === 'none' },
  cookies: { keys: ['for a test'] },
  interactions: { url: (ctx, interaction) => `/u/login/${interaction.uid}` },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  loadExistingGrant,
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'), // Auth0 asks for no consent first
  formats: { customizers: { jwt: auth0Profile } },
  ttl: { AccessToken: day, ClientCredentials: day, IdToken: day, Session: day, Grant: day, Interaction: 600, DeviceCode: 600, RefreshToken: day },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    dPoP: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
    },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => ctx.oidc.params.audience ?? ctx.oidc.body?.audience,
      getResourceServerInfo: (ctx, audience) => api(audience),
      useGrantedResource: () => true,
    },
  },
};
