// oidc-provider, a certified OpenID Provider, in the shape of an Auth0 tenant.
//
//   node provider.mjs SETTINGS.json
//
// The settings are {issuer, port, cert, key, jwks}: PEM texts, and private keys of
// which the first one signs. A line {"jwks": …} on standard input swaps the keys.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';
import { configuration } from './shape.mjs';
import { logIn } from './login.mjs';
import { passwordGrant } from './password.mjs';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));

// A provider reads its keys once. Another one on the same store takes its place
// when they change; calls under way end with the one they began with.
function build(jwks) {
  const provider = new Provider(settings.issuer, { ...configuration, jwks });
  passwordGrant(provider);
  provider.on('server_error', (ctx, error) => console.error(error));
  return { provider, handle: provider.callback() };
}

let current = build(settings.jwks);

const server = createServer(
  // Which certificate is whose is for the client's registration to say.
  { cert: settings.cert, key: settings.key, requestCert: true, rejectUnauthorized: false },
  (request, response) => {
    if (request.url.startsWith('/u/login/')) {
      logIn(current.provider, request, response);
    } else {
      current.handle(request, response);
    }
  },
);
server.listen(settings.port, '127.0.0.1', () => console.log('ready'));

createInterface({ input: process.stdin })
  .on('line', (line) => {
    current = build(JSON.parse(line).jwks);
    console.log('swapped');
  })
  .on('close', () => process.exit()); // whoever started this is gone
