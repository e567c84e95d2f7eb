import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../broker/config/load.js'
import { showProblem } from '../../broker/config/problem.js'
import { readAnswer } from '../../plugins/auth-http/answer.js'
import { readClaims } from '../../plugins/auth-jwt/claims.js'
import { Users } from '../../plugins/auth-static/users.js'
import { selfSigned } from '../support/certificate.js'

const page = readFileSync(new URL('../../docs/auth.md', import.meta.url), 'utf8')
const blocks = (language: string): string[] => [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(m => m[1]!)
const [users] = blocks('yaml').filter(b => b.startsWith('- {'))

const dir = mkdtempSync(join(tmpdir(), 'parley-auth-docs-'))
const { cert, key } = selfSigned('chat.example.com')
for (const [name, text] of Object.entries({ 'tls.crt': cert, 'ca.crt': cert, 'tls.key': key, 'keys.pem': cert, 'users.yaml': users! })) writeFileSync(join(dir, name), text)
afterAll(() => { rmSync(dir, { recursive: true }) })

test.each(blocks('yaml').filter(b => b !== users))('a configuration:\n%s', text => {
  const file = join(dir, 'parley.yaml')
  writeFileSync(file, text)
  const problems = loadConfig({ file, env: {}, cwd: dir }).problems.map(showProblem)
  expect(problems.filter(p => !p.includes('is not in this version'))).toEqual([])
})

test('the users file is one, and its passwords are those of the page’s author', async () => {
  const { all } = Users.read(users!)
  expect(all.map(u => [u.user, u.device])).toEqual([['alice', undefined], ['meter-17', 'meter-17']])
  expect(await Promise.all(all.map(async (u, i) => await u.check(Buffer.from(['correct horse', 'battery staple'][i]!))))).toEqual([true, true])
})

test('claims, question and answer are such', () => {
  const [claims, question, answer] = blocks('json')
  expect(readClaims(Buffer.from(claims!), { userClaim: 'sub', deviceClaim: 'dev', requireExp: true })).toMatchObject({ user: 'alice', device: 'phone', expiresMs: 1.9e12, issuedMs: 1.8e12 })
  expect(Object.keys(JSON.parse(question!) as object)).toEqual(['user', 'password', 'device', 'address', 'listener'])
  expect(readAnswer({ status: 200, body: Buffer.from(answer!) }, 1.8e12)).toMatchObject({ kind: 'accepted', identity: { user: 'alice', expiresMs: 1.9e12 } })
})
