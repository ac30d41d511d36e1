package main

import (
	"cmp"

	"rollcall/internal/docker"
)

const composeProject = "com.docker.compose.project"

// owners tells which Compose project a default service name belongs to: two
// projects with a service "web" are two services, and would be one pool by name
// alone. The project with the oldest container keeps the plain name. Containers
// that only their image chose don't count: they are one service by intent,
// wherever they were started.
func owners(containers []docker.Container) map[string]string {
	type owner struct {
		project string
		oldest  docker.Container
	}
	found := map[string]owner{}
	for _, c := range containers {
		service, project := c.Labels[composeService], c.Labels[composeProject]
		if service == "" || project == "" || len(ourLabels(c.Labels)) == 0 {
			continue
		}
		name := serviceName(service)
		holder, known := found[name]
		older := cmp.Or(c.Created.Compare(holder.oldest.Created), cmp.Compare(c.ID, holder.oldest.ID)) < 0
		if !known || older {
			found[name] = owner{project, c}
		}
	}
	projects := make(map[string]string, len(found))
	for name, owner := range found {
		projects[name] = owner.project
	}
	return projects
}

// defaultService names the service of a container that has no label for it. foreign
// is the project that has the plain name already, "" if none has.
func (v *Vantage) defaultService(c docker.Container, image string) (name, foreign string) {
	name = serviceName(c.Labels[composeService])
	if name == "" {
		return cmp.Or(serviceName(imageName(image)), short(c.ID)), ""
	}
	project, owner := c.Labels[composeProject], v.owners[name]
	if project == "" || owner == "" || owner == project || len(ourLabels(c.Labels)) == 0 {
		return name, ""
	}
	return serviceName(project) + "-" + name, owner
}
