import type { OAuthClientSettings } from '../domain/oauth.ts'
import { Secret } from '../domain/secret.ts'
import { SCOPE, TENANT } from '../provider-options.ts'
import { OAUTH_PROVIDERS, TENANT_PROVIDERS } from '../providers/registry.ts'
import type { Environment } from './environment.ts'

/** The application's registrations at providers, by provider id. */
export type Registrations = Readonly<Record<string, OAuthClientSettings>>

/** The names of a provider's variables, derived from its id. */
interface RegistrationVariables {
  readonly provider: string
  readonly clientId: string
  readonly clientSecret: string
  readonly scopes: string
  /** `null` if the provider has no tenants. */
  readonly tenant: string | null
}

const VARIABLES: readonly RegistrationVariables[] = [...OAUTH_PROVIDERS].map((provider) => {
  const prefix = provider.toUpperCase()
  return {
    provider,
    clientId: `${prefix}_CLIENT_ID`,
    clientSecret: `${prefix}_CLIENT_SECRET`,
    scopes: `${prefix}_SCOPES`,
    tenant: TENANT_PROVIDERS.has(provider) ? `${prefix}_TENANT` : null
  }
})

/** Reads the registrations. A provider is enabled if one of its variables is set. */
export function readRegistrations(env: Environment): Registrations {
  const used = VARIABLES.filter(
    ({ clientId, clientSecret, scopes, tenant }) =>
      env.set([clientId, clientSecret, scopes, tenant ?? scopes]).length > 0
  )
  const [first] = used
  if (first !== undefined) {
    env.required(
      'PUBLIC_URL',
      `${first.clientId} is set, and the provider redirects users to this URL, as registered there`
    )
  }
  return Object.fromEntries(used.map((names) => [names.provider, readRegistration(env, names)]))
}

function readRegistration(env: Environment, names: RegistrationVariables): OAuthClientSettings {
  const why = 'it is part of the registration at the provider'
  const clientId = env.exact(names.clientId, why) ?? ''
  const clientSecret = new Secret(env.exact(names.clientSecret, why) ?? '')
  const scopes = env.list(names.scopes)
  if (!scopes.every((scope) => SCOPE.test(scope))) {
    env.problem(names.scopes, 'must be a comma-separated list of scopes without spaces or quotes')
  }
  const tenant = names.tenant === null ? undefined : env.text(names.tenant)
  if (names.tenant !== null && tenant !== undefined && !TENANT.test(tenant)) {
    env.problem(names.tenant, 'must be common, organizations, consumers, or the id or a domain of a tenant')
  }
  return { clientId, clientSecret, ...(scopes.length > 0 && { scopes }), ...(tenant !== undefined && { tenant }) }
}
