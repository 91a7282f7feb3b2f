import { Secret } from '../domain/secret.ts'
import { SCOPE, TENANT } from '../provider-options.ts'
import type { Environment } from './environment.ts'

/** What a provider knows the application by. */
export interface Registration {
  readonly clientId: string
  readonly clientSecret: Secret<string>
  readonly scopes?: readonly string[]
  readonly tenant?: string
}

export type Registrations = Readonly<Record<string, Registration>>

interface RegistrationVariables {
  readonly provider: string
  readonly clientId: string
  readonly clientSecret: string
  readonly scopes: string
  readonly tenant?: string
}

const VARIABLES: readonly RegistrationVariables[] = [
  variablesOf('google_drive', 'GOOGLE_DRIVE'),
  { ...variablesOf('onedrive', 'ONEDRIVE'), tenant: 'ONEDRIVE_TENANT' },
  variablesOf('dropbox', 'DROPBOX'),
  variablesOf('box', 'BOX')
]

function variablesOf(provider: string, prefix: string): RegistrationVariables {
  return {
    provider,
    clientId: `${prefix}_CLIENT_ID`,
    clientSecret: `${prefix}_CLIENT_SECRET`,
    scopes: `${prefix}_SCOPES`
  }
}

/** A provider is enabled by its registration: whoever has none leaves its variables out. */
export function readRegistrations(env: Environment): Registrations {
  const used = VARIABLES.filter(
    ({ clientId, clientSecret, scopes, tenant }) =>
      env.set([clientId, clientSecret, scopes, ...(tenant === undefined ? [] : [tenant])]).length > 0
  )
  const [first] = used
  if (first !== undefined) {
    env.required(
      'PUBLIC_URL',
      `with ${first.clientId}: the provider sends users back to it, as the registration there says`
    )
  }
  return Object.fromEntries(used.map((names) => [names.provider, readRegistration(env, names)]))
}

function readRegistration(env: Environment, names: RegistrationVariables): Registration {
  const why = 'it is part of the registration at the provider'
  const clientId = env.required(names.clientId, why)
  const clientSecret = new Secret(env.required(names.clientSecret, why))
  const scopes = env.list(names.scopes)
  if (!scopes.every((scope) => SCOPE.test(scope))) {
    env.problem(names.scopes, 'must be scopes with commas between, each of them a word')
  }
  const tenant = names.tenant === undefined ? undefined : env.text(names.tenant)
  if (names.tenant !== undefined && tenant !== undefined && !TENANT.test(tenant)) {
    env.problem(names.tenant, 'must be common, organizations, consumers, or the id or a domain of a tenant')
  }
  return { clientId, clientSecret, ...(scopes.length > 0 && { scopes }), ...(tenant !== undefined && { tenant }) }
}
