import t from 'tap'
import { isProviderDefinition } from '../../../src/domain/provider.ts'
import { endsGrant, scopeName } from '../../../src/providers/onedrive/oauth.ts'
import { provider } from '../../../src/providers/onedrive.ts'

const refusal = (error: string, ...codes: unknown[]) => ({ error, body: { error, error_codes: codes } })

t.test('the provider says where users grant access, and asks for as little as it needs', async (t) => {
  t.ok(isProviderDefinition(provider))
  t.match(provider, {
    id: 'onedrive',
    label: 'OneDrive and SharePoint',
    connect: {
      type: 'oauth2',
      server: {
        issuer: 'https://login.microsoftonline.com/{tenant}/v2.0',
        authorizationEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize',
        tokenEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token',
        revocationEndpoint: undefined
      },
      tenant: 'common',
      clientAuthentication: 'client_secret_post',
      scopes: ['offline_access', 'User.Read', 'Files.Read.All', 'Sites.Read.All'],
      authorizationParameters: { response_mode: 'query' }
    }
  })
})

t.test('a scope has one name, with the resource and without, in any case', async (t) => {
  for (const name of ['Files.Read.All', 'files.read.all', 'https://graph.microsoft.com/Files.Read.All']) {
    t.equal(scopeName(name), scopeName('Files.Read.All'), name)
  }
  t.equal(scopeName('HTTPS://graph.microsoft.com/user.read'), scopeName('User.Read'))
  t.equal(scopeName('Sites.Read.All'), scopeName('Files.Read.All'), 'who has no sites is granted none')
  t.equal(scopeName('Sites.ReadWrite.All'), scopeName('Files.ReadWrite.All'))
  const different = ['Files.Read', 'Files.Read.All', 'Files.ReadWrite', 'Files.ReadWrite.All', 'Sites.Selected']
  t.equal(new Set(different.map(scopeName)).size, different.length)
  t.not(scopeName('https://example.com/Files.Read.All'), scopeName('Files.Read.All'))
})

t.test('a refusal that asks for the user ends the grant', async (t) => {
  for (const error of ['invalid_grant', 'interaction_required', 'consent_required', 'login_required']) {
    t.equal(endsGrant({ error, body: { error } }), true, error)
    t.equal(endsGrant(refusal(error, 12345)), true, `${error}, by a code that nobody knows`)
    t.equal(endsGrant({ error, body: { error_codes: 'no list' } }), true, `${error}, with codes that are none`)
  }
  for (const error of ['invalid_client', 'temporarily_unavailable', 'invalid_request', 'server_error', 'constructor']) {
    t.equal(endsGrant({ error, body: { error } }), false, error)
  }
})

t.test('its codes are more exact than the error beside them', async (t) => {
  const renewed = [50057, 50076, 50078, 50079, 50132, 50133, 50158, 50173, 53000, 53001, 53002, 53003, 53004, 65001]
  for (const code of [...renewed, 65004, 70000, 70008, 70043, 700020, 700082, 700084]) {
    t.equal(endsGrant(refusal('invalid_request', code)), true, `${code} is a login`)
  }
  const passing = [40010, 50033, 50087, 50088, 50166, 50196, 70012, 80002, 80014, 90006, 90012, 90024, 90033]
  for (const code of [...passing, 90055, 90090, 90091]) {
    t.equal(endsGrant(refusal('invalid_grant', code)), false, `${code} passes`)
    t.equal(endsGrant(refusal('interaction_required', 70008, code)), false, `${code} passes, whatever else is told`)
  }
  const registered = [50011, 50194, 70001, 70002, 700011, 700016, 700025, 7000112, 7000215, 7000218, 7000222]
  for (const code of registered) {
    t.equal(endsGrant(refusal('invalid_grant', code)), false, `${code} is the operator's`)
    t.equal(
      endsGrant(refusal('invalid_client', code, 70008)),
      false,
      `${code} is the operator's, whatever else is told`
    )
  }
})
