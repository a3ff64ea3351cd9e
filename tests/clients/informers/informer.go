// An informer of client-go: what it sees of a namespace's ConfigMaps, a JSON array on each line.
//
//	informer NAMESPACE
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sort"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func say(words ...any) {
	line, err := json.Marshal(words)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

func tell(event string, obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	found := obj.(*corev1.ConfigMap)
	data := found.Data
	if data == nil {
		data = map[string]string{}
	}
	say(event, found.Name, data)
}

// The core group alone: the typed clients know all groups, and take a minute to compile.
func coreClient(config *rest.Config) (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config.APIPath = "/api"
	config.GroupVersion = &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return rest.RESTClientFor(config)
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		log.Fatal(err)
	}
	client, err := coreClient(config)
	if err != nil {
		log.Fatal(err)
	}
	configMaps := cache.NewListWatchFromClient(client, "configmaps", os.Args[1], fields.Everything())
	informer := cache.NewSharedIndexInformer(configMaps, &corev1.ConfigMap{}, time.Hour, cache.Indexers{})
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { tell("add", obj) },
		UpdateFunc: func(_, obj any) { tell("update", obj) },
		DeleteFunc: func(obj any) { tell("delete", obj) },
	})
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan struct{})
	go informer.Run(stop)
	if cache.WaitForCacheSync(stop, informer.HasSynced) {
		say("connected")
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
	names := informer.GetStore().ListKeys()
	sort.Strings(names)
	words := []any{"has"}
	for _, key := range names {
		_, name, _ := cache.SplitMetaNamespaceKey(key)
		words = append(words, name)
	}
	say(words...)
	close(stop)
}
