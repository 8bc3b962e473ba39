// An Express server behind Auth0's express-oauth2-jwt-bearer, as in Auth0's
// quickstart.
//
//   node express.mjs ISSUER AUDIENCE
import express from 'express';
import { auth } from 'express-oauth2-jwt-bearer';

const [issuerBaseURL, audience] = process.argv.slice(2);
const app = express();
app.use(auth({ issuerBaseURL, audience, tokenSigningAlg: 'RS256' }));
app.get('/', (request, response) => response.json(request.auth.payload));
app.use((error, request, response, next) => response.status(error.status ?? 500).send(error.message));
const server = app.listen(0, '127.0.0.1', () => console.log(`ready ${server.address().port}`));
process.stdin.resume().on('end', () => process.exit()); // whoever started this is gone
