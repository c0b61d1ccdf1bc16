# SIGKILL of the supervisor: nothing of the sandbox survives it. That it takes no second is tested where nothing is emulated (run_exit).
# as: root user
printf '#!/bin/sh\nsetsid sleep 4321 &\n(trap "" HUP; sleep 4322 &)\nexec sleep 4323\n' >linger.sh
chmod +x linger.sh
agentfile 'AGENT linger' 'CMD ./linger.sh'
lingering() { [ "$(pgrep -f 'sleep 432[123]' | wc -l)" -ge "$1" ]; }
nothing_left() { ! pgrep -f 'sleep 432[123]' && ! pgrep -x agentrc; }
as_caller agentrc run ./Agentfile &
check "the program and its daemons run" within 10 lingering 3
pkill -KILL -x agentrc -o
check "nothing is left" within 20 nothing_left
wait
agentfile 'AGENT hello' 'CMD /bin/echo hello from inside'
exits 0 "the next run is not disturbed" as_caller agentrc run ./Agentfile
