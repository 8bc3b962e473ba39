// The login page: a form with a user name and a password.
import { tenant } from './shape.mjs';

const page = '<!DOCTYPE html><form method="post"><input name="username"><input name="password" type="password"></form>';

async function formOf(request) {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
  }
  return new URLSearchParams(body);
}

export async function logIn(provider, request, response) {
  try {
    await provider.interactionDetails(request, response); // throws unless this browser began it
    if (request.method !== 'POST') {
      response.setHeader('content-type', 'text/html').end(page);
      return;
    }
    const form = await formOf(request);
    const user = tenant.users.find(({ username, password }) => username === form.get('username') && password === form.get('password'));
    const result = user ? { login: { accountId: user.id } } : { error: 'access_denied' };
    await provider.interactionFinished(request, response, result);
  } catch (error) {
    response.writeHead(400).end(error.message);
  }
}
