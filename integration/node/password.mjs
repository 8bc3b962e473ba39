// The Resource Owner Password grant, which oidc-provider leaves to its users.
import { errors } from 'oidc-provider';
import { allowed, api, tenant } from './shape.mjs';

export function passwordGrant(provider) {
  async function grant(ctx) {
    const { client, params } = ctx.oidc;
    const user = tenant.users.find(({ username, password }) => username === params.username && password === params.password);
    if (!user) throw new errors.InvalidGrant('Wrong email or password.');

    // Auth0 grants all scopes of the API if none is asked for.
    const scope = allowed(user, params.scope ? params.scope.split(' ') : tenant.scopes);
    const given = new provider.Grant({ clientId: client.clientId, accountId: user.id });
    given.addResourceScope(params.audience, scope);
    const token = new provider.AccessToken({
      accountId: user.id, client, scope, grantId: await given.save(), gty: 'password',
    });
    token.resourceServer = new provider.ResourceServer(params.audience, api(params.audience));
    ctx.body = {
      access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration, scope,
    };
  }
  provider.registerGrantType('password', grant, ['username', 'password', 'audience', 'scope']);
}
