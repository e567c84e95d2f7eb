import { definePlugin } from '../../broker/plugin.js'
import { addMembers, joinGroup, leaveGroup, removeMembers } from './coming-and-going.js'
import { createGroup, deleteGroup, getGroup, updateGroup } from './life.js'
import { listGroups, listMembers } from './lists.js'
import { setRole } from './role.js'
import { Groups } from './scene.js'

/** Groups and who is in them (docs/groups.md). */
export default definePlugin({
  name: 'groups',
  setup (host) {
    const groups = new Groups(host)
    for (const make of [createGroup, getGroup, updateGroup, deleteGroup, joinGroup, leaveGroup, addMembers, removeMembers, setRole, listGroups, listMembers]) host.operation(make(groups))
  }
})
