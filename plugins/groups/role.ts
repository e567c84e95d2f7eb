import { defineOperation, type Operation, ParleyError, Type, userId } from '../../broker/plugin.js'
import type { Groups } from './scene.js'
import { groupParam, role, userParam } from './shapes.js'
import { succession } from './succession.js'

export const setRole = (groups: Groups): Operation => defineOperation({
  name: 'group.role',
  summary: 'Gives a member another role. Owners give any; admins make a member an admin. A group keeps an owner. Idempotent.',
  params: Type.Object({ group: groupParam, user: userParam, role }),
  result: Type.Object({}),
  who: 'user',
  async handle (call, p) {
    const user = userId(p.user)
    return await groups.change(call, p.group, async scene => {
      scene.mustManage()
      const them = await groups.host.directory.member(scene.group.group, user)
      if (them === undefined) throw new ParleyError('not-member', `${user} is not a member`)
      if (them.role === p.role) return {}
      if (them.role !== 'member' || p.role === 'owner') scene.mustOwn()
      if (them.role === 'owner' && (await succession(groups.host.directory, scene.group.group, new Set([user]))).kind !== 'none') {
        throw new ParleyError('conflict', 'the last owner stays one: make another member owner first')
      }
      await scene.post({ event: 'role', user, role: p.role }, { members: [{ user, role: p.role }] })
      return {}
    })
  }
})
