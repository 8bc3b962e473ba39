// @simulacrum/auth0-simulator, loaded with require: its ES modules fail on every
// token. It takes its certificate from a folder of the home directory.
//
//   node simulator.cjs PORT AUDIENCE SCOPE
const { simulation } = require('@simulacrum/auth0-simulator');

const [port, audience, scope] = process.argv.slice(2);
const app = simulation({
  options: { audience, scope },
  initialState: { users: [{ id: 'auth0|eve', name: 'Eve', email: 'eve@example.com', password: 'red herring' }] },
});
app.listen(Number(port), '127.0.0.1', () => console.log('ready'));
process.stdin.resume().on('end', () => process.exit()); // whoever started this is gone
