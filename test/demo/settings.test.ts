import t from 'tap'
import { configOf, readSettings } from '../../demo/settings.ts'

t.test('an empty environment is enough', async (t) => {
  t.same(readSettings({}), { port: 3000, logLevel: 'warn' })
  t.same(readSettings({ PORT: '', LOG_LEVEL: '', DATABASE_URL: '', NODE_ENV: '' }), { port: 3000, logLevel: 'warn' })
  t.same(readSettings({ PORT: '0', LOG_LEVEL: 'debug', NODE_ENV: 'development' }), { port: 0, logLevel: 'debug' })
})

t.test('whoever means a service gets none of this', async (t) => {
  t.throws(() => readSettings({ NODE_ENV: 'production' }), /NODE_ENV is "production"/)
  t.throws(() => readSettings({ DATABASE_URL: 'postgres://a:secret@b/c' }), /DATABASE_URL is set/)
  const both = { NODE_ENV: 'production', DATABASE_URL: 'postgres://a:secret@b/c' }
  t.throws(() => readSettings(both), /NODE_ENV.*\n.*DATABASE_URL.*\n.*npm start/)
  try {
    readSettings(both)
  } catch (error) {
    t.notMatch((error as Error).message, 'secret')
  }
})

t.test('a variable that makes no sense is named', async (t) => {
  t.throws(() => readSettings({ PORT: '70000' }), /PORT must be a whole number/)
  t.throws(() => readSettings({ LOG_LEVEL: 'loud' }), /LOG_LEVEL must be one of/)
})

t.test('what else the environment has does not open the demo to the network', async (t) => {
  t.same(readSettings({ HOST: '0.0.0.0', PUBLIC_URL: 'https://example.org', JWT_SECRET: 'x' }).port, 3000)
  const places = { port: 4000, folder: '/tmp/a', publicUrl: 'http://127.0.0.1:4000', webdav: '127.0.0.1:4001' }
  const { host, port, dataDir, allowHosts } = configOf(places, 'warn')
  t.same({ host, port, dataDir }, { host: '127.0.0.1', port: 4000, dataDir: '/tmp/a' })
  t.same(allowHosts, { s3: [], webdav: ['127.0.0.1:4001'], nextcloud: [] })
})
