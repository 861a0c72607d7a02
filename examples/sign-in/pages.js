/** The two pages that better-auth leaves to the app. Each passes on the signed query with which it was opened. */
const page = (title, form, script) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${title}</title>
<h1>${title}</h1>
<p id="says"></p>
${form}
<script type="module">
const says = (text) => (document.querySelector('#says').textContent = text);
async function post(path, body) {
  const response = await fetch('/api/auth' + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, oauth_query: location.search.slice(1) }),
  });
  const answer = await response.json();
  if (!response.ok) return says(answer.message);
  if (answer.url) location.href = answer.url;
  return answer;
}
${script}
</script>`;

export const signInPage = page(
  'Sign in',
  `<form>
  <label>Mail <input name="email" type="email" autocomplete="username" required></label>
  <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
  <button name="way" value="in">Sign in</button>
  <button name="way" value="up">Make an account</button>
</form>`,
  `document.querySelector('form').onsubmit = async (event) => {
  event.preventDefault();
  const { email, password } = Object.fromEntries(new FormData(event.target));
  if (event.submitter.value === 'up' && !(await post('/sign-up/email', { name: email, email, password }))) return;
  await post('/sign-in/email', { email, password });
};`,
);

export const consentPage = page(
  'Allow this client to use your notes?',
  `<form><button name="accept" value="yes">Allow</button> <button name="accept" value="no">Refuse</button></form>`,
  `const asked = new URLSearchParams(location.search);
const client = await fetch('/api/auth/oauth2/public-client?client_id=' + encodeURIComponent(asked.get('client_id')));
const { client_name: name } = client.ok ? await client.json() : {};
says((name ?? asked.get('client_id')) + ' asks for: ' + asked.get('scope') + '. It is sent to ' + asked.get('redirect_uri'));
document.querySelector('form').onsubmit = (event) => {
  event.preventDefault();
  void post('/oauth2/consent', { accept: event.submitter.value === 'yes' });
};`,
);
